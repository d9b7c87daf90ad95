// The list of uploads below the drop zone: a row for each, with its progress, its result, or what to do about it.

import { say } from "./upload-words.js";

const list = document.getElementById("uploads");
const news = document.getElementById("news"); // read out by screen readers; percentages of uploads are not
const template = document.getElementById("upload-row");

export class Row {
  constructor(name) {
    this.name = name;
    this.item = template.content.cloneNode(true).firstElementChild;
    this.label = this.item.querySelector(".upload-name");
    this.bar = this.item.querySelector("progress");
    this.text = this.item.querySelector(".upload-state");
    this.label.textContent = name;
    this.label.title = name;
    this.bar.setAttribute("aria-label", say("upload_of", { name }));
    this.state(say("waits"), 0);
    list.append(this.item);
  }

  progress(share) {
    this.state(share < 1 ? say("uploading", { n: Math.floor(share * 100) }) : say("uploaded"), share * 100);
  }

  state(text, value = 100) {
    this.item.classList.remove("bad");
    this.bar.value = value;
    this.text.textContent = text;
  }

  link(url) {
    const link = document.createElement("a");
    link.href = url;
    link.textContent = this.name;
    this.label.replaceChildren(link);
  }

  result({ tone, words, of = "", score }, before = "") {
    const tag = document.createElement("span");
    tag.className = `tag ${tone}`;
    tag.textContent = words;
    const figure = document.createElement("strong");
    figure.textContent = score;
    this.bar.value = 100;
    this.text.replaceChildren(before, tag, ...(score ? [of ? ` ${of} ` : " ", figure] : []));
    this.item.classList.add("done");
    this.#announce();
  }

  fail(text) {
    this.state(text, 0);
    this.item.classList.add("bad");
    this.#announce();
  }

  // Add a button to the row, which is removed when pressed.
  offer(label, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button quiet small";
    button.textContent = label;
    button.setAttribute("aria-label", `${label}: ${this.name}`);
    button.addEventListener("click", () => {
      button.remove();
      action();
    });
    this.text.append(" ", button);
  }

  #announce() {
    news.textContent = `${this.name}: ${this.text.textContent}`;
  }
}
