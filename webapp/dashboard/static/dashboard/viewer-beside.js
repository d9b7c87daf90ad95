// Pictures beside the image: what the model saw of it, and earlier images of the same patient.

import { Pane } from "./viewer-pane.js";

const { gettext, interpolate } = window; // the words of the page's language

export class Beside {
  /**
   * @param figure holds the buttons whose data says what they show.
   * @param panes the element that holds the panes.
   * @param first the image's own pane.
   * @param onChange called when there is something new to draw.
   */
  constructor(figure, panes, first, onChange) {
    Object.assign(this, { figure, panes, first, onChange, shown: new Map() });
    this.buttons = [...figure.querySelectorAll("[data-beside]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.toggle(button));
  }

  toggle(button) {
    const kind = button.dataset.kind;
    const before = this.shown.get(kind);
    if (before) {
      this.shown.delete(kind);
      before.pane.remove();
      before.button.setAttribute("aria-pressed", "false");
    }
    if (before?.button !== button) this.add(button, kind);
    this.figure.classList.toggle("compares", this.shown.size > 0);
    this.onChange();
  }

  add(button, kind) {
    const { beside, words, width, height, region } = button.dataset;
    const element = document.createElement("div");
    element.className = "pane";
    const caption = document.createElement("p");
    caption.className = "pane-words";
    caption.textContent = words;
    const image = new Image();
    image.addEventListener("load", () => {
      const size = { words, width: image.naturalWidth, height: image.naturalHeight };
      if (kind === "model") caption.textContent = interpolate(gettext("%(words)s, %(width)s × %(height)s greys"), size, true);
      this.onChange();
    });
    image.addEventListener("error", () => {
      caption.textContent = interpolate(gettext("%s: the picture could not be loaded."), [words]);
    });
    image.src = beside;
    this.panes.append(element);
    const { size } = this.first;
    const pane = new Pane({
      element,
      image,
      size: kind === "model" ? size : { width: Number(width) || 4, height: Number(height) || 3 },
      area: kind === "model" ? areaOf(region, size) : null,
      onResize: this.onChange,
    });
    pane.canvas.setAttribute("role", "img");
    pane.canvas.setAttribute("aria-label", words);
    element.append(caption);
    button.setAttribute("aria-pressed", "true");
    this.shown.set(kind, { pane, button });
  }

  get all() {
    return [this.first, ...[...this.shown.values()].map(({ pane }) => pane)];
  }
}

/** The part of the picture that the model saw: left, top, right, bottom; nothing stands for all of it. */
function areaOf(region, size) {
  const [left, top, right, bottom] = region ? region.split(",").map(Number) : [0, 0, size.width, size.height];
  return { left, top, width: right - left, height: bottom - top };
}
