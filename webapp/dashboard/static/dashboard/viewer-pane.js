// A pane: one picture, and perhaps its map, drawn on canvases that cover an element.

import { place } from "./viewer-view.js";
import { QuickWindow } from "./viewer-window.js";

const CRISP = 4; // from so many screen pixels a pixel on, each pixel is shown as a square

export class Pane {
  /**
   * @param element covered by the canvases; whatever is in it keeps its place in the page.
   * @param size of the picture in its own pixels.
   * @param image the picture, of any resolution.
   * @param area the part of the picture that the image covers; all of it where there is none.
   * @param onResize called when the pane has another size.
   */
  constructor({ element, size, image, area, onResize }) {
    this.element = element;
    this.size = size;
    this.image = image;
    this.area = area || { left: 0, top: 0, width: size.width, height: size.height };
    this.squares = Boolean(area); // another grid of pixels than the picture's is to be seen as one
    this.sharp = null; // the picture at its full resolution
    this.map = null;
    this.canvas = document.createElement("canvas");
    this.mapCanvas = document.createElement("canvas");
    this.mapCanvas.setAttribute("aria-hidden", "true");
    this.mapCanvas.className = "map-canvas";
    const cover = document.createElement("div");
    cover.className = "canvases";
    cover.append(this.canvas, this.mapCanvas);
    this.quick = new QuickWindow(this.canvas);
    element.append(cover);
    this.observer = new ResizeObserver(() => {
      this.measure();
      onResize();
    });
    this.observer.observe(element);
    this.measure();
  }

  measure() {
    const { clientWidth: width, clientHeight: height } = this.element;
    this.box = { width: width || 1, height: height || 1, ratio: window.devicePixelRatio || 1 };
    for (const canvas of [this.canvas, this.mapCanvas]) {
      canvas.width = Math.round(this.box.width * this.box.ratio);
      canvas.height = Math.round(this.box.height * this.box.ratio);
    }
  }

  /** Screen pixels for a pixel of the picture. */
  scaleOf(view) {
    return place(view, this.size, this.box).scale * this.box.ratio;
  }

  /** Whether a view shows more than its image has. */
  needsMore(view) {
    return this.scaleOf(view) * this.area.width > this.image.naturalWidth * 1.01;
  }

  /** @param quality how pictures are made smaller: "low" while they move, which takes a fifth of the time of "medium". */
  draw(view, opacity, quality) {
    const image = this.sharp && this.needsMore(view) ? this.sharp : this.image;
    const scale = this.scaleOf(view);
    const smooth = !this.squares && scale < CRISP;
    this.paint(this.canvas, view, image, smooth && quality, 1);
    const mapped = Boolean(opacity && this.map);
    if (mapped || this.mapped) this.paint(this.mapCanvas, view, mapped ? this.map : null, "low", opacity);
    this.mapped = mapped;
  }

  paint(canvas, view, image, quality, opacity) {
    const context = canvas.getContext("2d");
    const { scale, left, top } = place(view, this.size, this.box);
    const { ratio } = this.box;
    const { area } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!isLoaded(image)) return;
    context.setTransform(scale * ratio, 0, 0, scale * ratio, left * ratio, top * ratio);
    context.imageSmoothingEnabled = Boolean(quality);
    if (quality) context.imageSmoothingQuality = quality;
    context.globalAlpha = opacity;
    context.drawImage(image, area.left, area.top, area.width, area.height);
  }

  /** Where an event is in the pane, in CSS pixels. */
  pointOf(event) {
    const { left, top } = this.element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  remove() {
    this.observer.disconnect();
    this.element.remove();
  }
}

function isLoaded(image) {
  return image instanceof HTMLImageElement ? image.complete && image.naturalWidth > 0 : Boolean(image);
}
