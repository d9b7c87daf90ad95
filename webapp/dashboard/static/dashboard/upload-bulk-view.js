// What is seen of a bulk upload: a bar for all of it and for each request, what was refused and why, and what can be done.

import { duration, megabytes, say } from "./upload-words.js";

const SPAN = 20_000; // the rate is that of so many last milliseconds
const SHOWN = 200; // of a list; copying takes all
const ANNOUNCED = 25; // percent
const list = document.getElementById("bulks");
const news = document.getElementById("news");
const template = document.getElementById("bulk");

export class BulkView {
  // finish: closes the study before all of its files were sent.
  constructor(title, finish) {
    this.finish = finish;
    this.item = template.content.cloneNode(true).firstElementChild;
    this.title = title || say("many_files");
    this.rows = new Map();
    this.moments = [];
    this.announced = 0;
    this.#part("title").textContent = this.title;
    this.#part("bar").setAttribute("aria-label", say("upload_of", { name: this.title }));
    list.append(this.item);
  }

  bind(bulk) {
    this.bulk = bulk;
    this.#on("pause", () => bulk.pause());
    this.#on("resume", () => bulk.resume());
    this.#on("close", () => this.finish());
    const dialog = this.item.querySelector("dialog");
    this.#on("cancel", () => dialog.showModal());
    this.#on("keep", () => dialog.close());
    this.#on("sure", () => {
      dialog.close();
      bulk.cancel();
    });
    for (const kind of ["refused", "known"]) this.#on(`copy-${kind}`, (button) => this.#copy(kind, button));
    this.changed();
  }

  changed() {
    const { bulk } = this;
    const link = this.#part("link");
    link.hidden = !bulk.memory;
    if (bulk.memory) link.href = bulk.memory.study.page_url;
    this.#button("pause").hidden = bulk.isPaused || Boolean(bulk.ended);
    this.#button("resume").hidden = !bulk.isPaused || Boolean(bulk.ended);
    this.#button("close").hidden = Boolean(bulk.ended) || !bulk.taken;
    this.#button("cancel").hidden = Boolean(bulk.ended);
    this.#showRows();
    this.#showList("refused", bulk.refused, ({ filename, detail }) => `${filename}: ${detail}`);
    this.#showList("known", bulk.known, ({ filename }) => filename, ({ page_url }) => page_url);
    if (["cancelling", "cancelled"].includes(bulk.ended)) this.say(bulk.ended);
    else if (bulk.isPaused) this.say("paused", { taken: bulk.taken, n: bulk.files.length });
    this.moved();
  }

  moved() {
    const { bulk } = this;
    const share = bulk.size ? (100 * bulk.arrived) / bulk.size : 100;
    this.#part("bar").value = share;
    for (const [job, row] of this.rows) row.querySelector("progress").value = job.size ? (100 * job.sent) / job.size : 0;
    const counted = say("counted", {
      taken: bulk.taken, n: bulk.files.length, mb: megabytes(bulk.arrived), all: megabytes(bulk.size),
    });
    this.#part("numbers").textContent = [counted, this.#timeLeft()].filter(Boolean).join(" · ");
    const step = Math.floor(share / ANNOUNCED) * ANNOUNCED;
    if (step > this.announced) {
      this.announced = step;
      news.textContent = `${this.title}: ${say("percent", { n: step })}`;
    }
  }

  #timeLeft() {
    const { bulk, moments } = this;
    if (bulk.isPaused || bulk.ended) {
      moments.length = 0;
      return "";
    }
    const now = performance.now();
    moments.push([now, bulk.arrived]);
    while (moments.length > 2 && moments[0][0] < now - SPAN) moments.shift();
    const [since, before] = moments[0];
    const rate = (bulk.arrived - before) / (now - since);
    return now - since > 3000 && rate > 0 ? say("left", { time: duration((bulk.size - bulk.arrived) / rate / 1000) }) : "";
  }

  connected() {
    if (!this.bulk.isPaused && !this.bulk.ended) this.#part("state").textContent = "";
  }

  waiting(error) {
    this.#state(error.status ? error.message : say("waits_for_line"));
  }

  stopped(error) {
    this.#state(error.code === "study_cancelled" ? say("cancelled") : error.message);
    if (error.reload) this.offer(say("reload"), () => window.location.reload());
  }

  say(key, values) {
    this.#state(say(key, values));
  }

  #state(text) {
    if (this.#part("state").textContent === text) return;
    this.#part("state").textContent = text;
    news.textContent = `${this.title}: ${text}`;
  }

  // Files that did not arrive for another reason than the line: they are sent again when one asks for it.
  askToRetry(failed) {
    const files = failed.reduce((sum, job) => sum + job.items.length, 0);
    this.#state(say("some_failed", { n: files, reason: failed[0].reason }));
    return new Promise((resolve) => {
      this.bulk.wake = resolve;
      this.offer(say("send_again"), resolve);
    });
  }

  offer(label, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button small";
    button.textContent = label;
    button.addEventListener("click", () => {
      button.remove();
      this.#part("state").textContent = "";
      action();
    });
    this.#part("state").append(" ", button);
  }

  // The upload has come to its end, and there is something to be read before one goes on.
  finished() {
    this.item.classList.add("done");
    this.say("all_sent");
    const link = this.#part("link");
    link.textContent = say("see_study");
    link.classList.add("button");
    for (const name of ["pause", "resume", "close", "cancel"]) this.#button(name).hidden = true;
  }

  emptyHanded() {
    this.item.classList.add("done");
    this.say("nothing_taken");
    this.#part("link").hidden = true;
    for (const name of ["pause", "resume", "close", "cancel"]) this.#button(name).hidden = true;
  }

  #showRows() {
    const { active } = this.bulk;
    for (const [job, row] of this.rows) {
      if (!active.has(job)) {
        row.remove();
        this.rows.delete(job);
      }
    }
    for (const job of active) {
      if (this.rows.has(job) || !job.items.length) continue;
      const row = document.getElementById("bulk-row").content.cloneNode(true).firstElementChild;
      const name = job.items[0].name;
      const label = job.items.length === 1 ? name : say("and_more", { name, n: job.items.length - 1 });
      row.querySelector("span").textContent = label;
      row.querySelector("span").title = label;
      row.querySelector("progress").setAttribute("aria-label", say("upload_of", { name: label }));
      this.#part("active").append(row);
      this.rows.set(job, row);
    }
  }

  #showList(kind, entries, text, address = null) {
    const box = this.item.querySelector(`[data-list="${kind}"]`);
    if (!entries.length) return;
    box.hidden = false;
    box.querySelector("summary").textContent = say(`some_${kind}`, { n: entries.length });
    const shown = box.querySelector("ul");
    for (const entry of entries.slice(shown.children.length, SHOWN)) {
      const line = document.createElement("li");
      const words = address ? document.createElement("a") : line;
      words.textContent = text(entry);
      if (address) {
        words.href = address(entry);
        line.append(words);
      }
      shown.append(line);
    }
  }

  async #copy(kind, button) {
    const lines = this.bulk[kind].map(({ filename, code = "", detail = "" }) => [filename, code, detail].join("\t").trimEnd());
    try {
      await navigator.clipboard.writeText(lines.join("\n"));
    } catch {
      // Without TLS there is no clipboard for pages; a selection can be copied everywhere.
      const area = document.createElement("textarea");
      area.value = lines.join("\n");
      button.before(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = say("copied");
  }

  #part(name) {
    return this.item.querySelector(`[data-part="${name}"]`);
  }

  #button(name) {
    return this.item.querySelector(`[data-do="${name}"]`);
  }

  #on(name, action) {
    this.#button(name).addEventListener("click", (event) => action(event.currentTarget));
  }
}
