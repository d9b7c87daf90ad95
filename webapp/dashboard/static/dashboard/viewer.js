// The viewer of an image: zoom, pan, window and level, the map, and other pictures beside it. Without it the page shows
// the same pictures, which it draws instead of loading them again.

import { Beside } from "./viewer-beside.js";
import { listenToKeys, listenToPointers } from "./viewer-gestures.js";
import { Original } from "./viewer-original.js";
import { Pane } from "./viewer-pane.js";
import { actualZoom, FITTED, kept, movedBy, zoomedAt } from "./viewer-view.js";
import { dragged, isPlain, PLAIN, ToneFilter } from "./viewer-window.js";

const { gettext, interpolate } = window; // the words of the page's language

const STEP = 1.25; // of the zoom, for a key or button
const STRIDE = 60; // CSS pixels, for an arrow key
const QUIET = 300; // milliseconds without a change after which it is drawn at its best, and told

class Viewer {
  constructor(figure, preview) {
    const { width, height, original } = figure.dataset;
    const size = { width: Number(width) || preview.naturalWidth, height: Number(height) || preview.naturalHeight };
    Object.assign(this, { figure, view: FITTED, tone: PLAIN, windowing: false });
    this.panes = figure.querySelector(".panes");
    this.switch = figure.querySelector("#rests");
    this.opacity = figure.querySelector("#opacity");
    this.said = figure.querySelector(".viewer-state");
    const draw = () => this.schedule();
    this.first = new Pane({ element: figure.querySelector(".layers"), size, image: preview, onResize: draw });
    this.first.map = figure.querySelector("#overlay");
    this.first.map?.addEventListener("load", draw);
    this.original = new Original(original, size, preview);
    this.beside = new Beside(figure, this.panes, this.first, draw);
    this.filter = new ToneFilter(figure);
    this.describe();
    this.listen();
    figure.classList.add("viewer");
    figure.querySelector(".tools").hidden = false;
    draw();
  }

  /** The canvas takes keys, so it is no mere picture; the picture below it keeps its own description. */
  describe() {
    const { canvas } = this.first;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", gettext("X-ray viewer"));
    canvas.setAttribute("aria-label", this.first.image.alt);
    canvas.setAttribute("aria-describedby", "viewer-keys");
  }

  listen() {
    listenToKeys(this.figure, (name) => this.act(name));
    listenToPointers(this.panes, {
      paneOf: (event) => this.beside.all.find((pane) => pane.element.contains(event.target)),
      pan: (pane, dx, dy) => this.look(movedBy(this.view, dx, dy, pane.size, pane.box)),
      zoom: (pane, factor, point) => this.look(zoomedAt(this.view, factor, point, pane.size, pane.box)),
      window: (dx, dy) => this.dragTone(dx, dy),
      windows: () => this.windowing,
      oneFinger: () => this.windowing || this.isFull,
    });
    this.panes.addEventListener("pointerdown", () => this.first.canvas.focus({ preventScroll: true }));
    this.figure.addEventListener("click", (event) => this.act(event.target.closest("[data-do]")?.dataset.do));
    for (const kind of ["input", "change"]) this.figure.addEventListener(kind, () => this.schedule());
    this.figure.addEventListener("fullscreenchange", () => this.showStates());
  }

  act(name) {
    const { size, box } = this.first;
    const middle = { x: box.width / 2, y: box.height / 2 };
    const move = (dx, dy) => this.look(movedBy(this.view, dx * STRIDE, dy * STRIDE, size, box));
    const zoom = (factor) => this.look(zoomedAt(this.view, factor, middle, size, box));
    const actions = {
      closer: () => zoom(STEP),
      farther: () => zoom(1 / STEP),
      fit: () => this.look(FITTED),
      actual: () => this.look(kept({ ...this.view, zoom: actualZoom(size, box) }, size, box)),
      left: () => move(1, 0),
      right: () => move(-1, 0),
      up: () => move(0, 1),
      down: () => move(0, -1),
      invert: () => this.setTone({ ...this.tone, inverted: !this.tone.inverted }),
      window: () => (this.windowing = !this.windowing),
      map: () => this.switch?.click(),
      full: () => this.toggleFull(),
      reset: () => this.reset(),
    };
    actions[name]?.();
    this.showStates();
  }

  reset() {
    this.windowing = false;
    this.setTone(PLAIN);
    this.look(FITTED);
  }

  /** Show another view; whether it is another one. */
  look(view) {
    const same = ["zoom", "x", "y"].every((name) => Math.abs(view[name] - this.view[name]) < 1e-9);
    if (same) return false;
    this.view = view;
    this.schedule();
    return true;
  }

  setTone(tone) {
    this.tone = tone;
    this.applyTone();
    this.showStates();
  }

  applyTone() {
    for (const pane of this.beside.all) pane.quick.hide();
    this.filter.apply(this.tone, this.beside.all.map((pane) => pane.canvas));
  }

  dragTone(dx, dy) {
    this.tone = dragged(this.tone, dx, dy);
    this.toning ||= requestAnimationFrame(() => {
      this.toning = 0;
      for (const pane of this.beside.all) pane.quick.show(this.tone);
      this.filter.apply(PLAIN, this.beside.all.map((pane) => pane.canvas)); // they are covered
    });
    this.showStates();
  }

  get isFull() {
    return document.fullscreenElement === this.figure || this.figure.classList.contains("fills");
  }

  /** Where a browser has no full screen, as on iPhones, the page is filled. */
  toggleFull() {
    if (!this.figure.requestFullscreen) this.figure.classList.toggle("fills");
    else if (this.isFull) document.exitFullscreen();
    else this.figure.requestFullscreen();
  }

  schedule() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.draw("low");
      this.applyTone();
      if (this.first.needsMore(this.view)) this.original.load((sharp) => this.sharpen(sharp));
      this.showStates();
    });
  }

  draw(quality) {
    const opacity = this.switch?.checked ? Number(this.opacity.value) / 100 : 0;
    for (const pane of this.beside.all) pane.draw(this.view, pane === this.first ? opacity : 0, quality);
  }

  sharpen(bitmap) {
    this.first.sharp = bitmap;
    this.schedule();
  }

  showStates() {
    const pressed = { window: this.windowing, invert: this.tone.inverted, full: this.isFull };
    for (const [name, on] of Object.entries(pressed)) {
      this.figure.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(on));
    }
    this.figure.classList.toggle("windows", this.windowing);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settle(), QUIET);
  }

  settle() {
    this.draw("medium");
    this.applyTone();
    this.tell();
  }

  tell() {
    const percent = (share) => Math.round(share * 100);
    const words = [interpolate(gettext("Zoom %s %"), [percent(this.first.scaleOf(this.view))])];
    if (this.first.needsMore(this.view)) {
      const loading = gettext("enlarged from the preview while the file is loaded");
      const said = { there: gettext("the file's own pixels"), loading, none: gettext("enlarged from the preview") };
      words.push(said[this.original.state] ?? loading);
    }
    const { width, level, inverted } = this.tone;
    if (!isPlain({ width, level })) words.push(interpolate(gettext("window %s %, level %s %"), [percent(width), percent(level)]));
    if (inverted) words.push(gettext("inverted"));
    const text = words.join(" · ");
    if (this.said.textContent !== text) this.said.textContent = text;
  }
}

async function start(part) {
  const figure = part.querySelector(".film:not(.viewer)");
  const preview = figure?.querySelector(".layers img:not(.overlay)");
  if (!preview) return;
  try {
    await preview.decode();
  } catch {
    if (!preview.naturalWidth) showMissing(preview);
    return;
  }
  if (figure.isConnected) new Viewer(figure, preview);
}

/** Say that a picture could not be loaded, for example because its file is damaged. */
function showMissing(preview) {
  const text = document.createElement("p");
  text.className = "film-empty";
  text.setAttribute("role", "alert");
  text.textContent = interpolate(gettext("%s: the picture could not be loaded."), [preview.alt]);
  preview.replaceWith(text);
}

start(document);
document.addEventListener("htmx:afterSettle", () => start(document));
