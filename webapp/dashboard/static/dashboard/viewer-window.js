// Window and level: which greys of a picture are spread from black to white.
//
// A window is {width, level, inverted}, both as shares of all greys. It is applied by a filter on the canvas, and by a
// linear one, since brightness() and contrast() cut off what lies between them. While it is dragged, a copy of the canvas
// is shown whose greys are looked up in a table: where the browser draws in software, a filter takes twice the time.

export const PLAIN = Object.freeze({ width: 1, level: 0.5, inverted: false });
const NARROWEST = 0.02;
const WIDEST = 2;
const DRAG = 300; // pixels that make a window 2.7 times as wide, or move its level by all greys
const MOST = 1e6; // pixels of a copy, which is smaller than a larger canvas

const between = (value, least, most) => Math.min(Math.max(value, least), most);

/** To the right the window is wider, downwards its level higher, so that the picture is darker. */
export function dragged(tone, dx, dy) {
  return {
    ...tone,
    width: between(tone.width * Math.exp(dx / DRAG), NARROWEST, WIDEST),
    level: between(tone.level + dy / DRAG, 0, 1),
  };
}

/** The line that gives each grey its new one: slope × grey + intercept. */
export function lineOf({ width, level, inverted }) {
  const slope = 1 / width;
  const intercept = 0.5 - level / width;
  return inverted ? { slope: -slope, intercept: 1 - intercept } : { slope, intercept };
}

export function isPlain(tone) {
  return tone.width === 1 && tone.level === 0.5 && !tone.inverted;
}

const SVG = "http://www.w3.org/2000/svg";

/** The filter, of which a page has one. */
export class ToneFilter {
  constructor(inside) {
    const svg = document.createElementNS(SVG, "svg");
    const filter = document.createElementNS(SVG, "filter");
    this.matrix = document.createElementNS(SVG, "feColorMatrix");
    for (const [name, value] of [["width", "0"], ["height", "0"], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
    svg.style.position = "absolute";
    filter.id = "viewer-tone";
    filter.setAttribute("color-interpolation-filters", "sRGB");
    for (const [name, value] of [["x", "0"], ["y", "0"], ["width", "1"], ["height", "1"]]) filter.setAttribute(name, value);
    filter.append(this.matrix);
    svg.append(filter);
    inside.append(svg);
  }

  apply(tone, canvases) {
    const { slope, intercept } = lineOf(tone);
    // One step for all colours; a transfer of each would be looked up in a table.
    const [s, i] = [slope, intercept];
    this.matrix.setAttribute("values", `${s} 0 0 0 ${i}  0 ${s} 0 0 ${i}  0 0 ${s} 0 ${i}  0 0 0 1 0`);
    const value = isPlain(tone) ? "" : 'url("#viewer-tone")';
    for (const canvas of canvases) if (canvas.style.filter !== value) canvas.style.filter = value;
  }
}

/** The copy of a canvas that is shown while its window is dragged. */
export class QuickWindow {
  constructor(canvas) {
    this.canvas = canvas;
    this.copy = document.createElement("canvas");
    this.copy.className = "quick-canvas";
    this.copy.setAttribute("aria-hidden", "true");
    this.copy.hidden = true;
    canvas.after(this.copy);
  }

  show(tone) {
    if (this.copy.hidden) this.take();
    const greys = tableOf(tone);
    if (this.isGrey) paintGreys(this.before, this.after, greys);
    else paintColours(this.before, this.after, greys);
    this.context.putImageData(this.pixels, 0, 0);
    this.copy.hidden = false;
  }

  hide() {
    this.copy.hidden = true;
  }

  /** Copy what the canvas shows. */
  take() {
    const { canvas, copy } = this;
    const share = Math.min(1, Math.sqrt(MOST / (canvas.width * canvas.height)));
    const [width, height] = [canvas.width, canvas.height].map((length) => Math.max(Math.round(length * share), 1));
    Object.assign(copy, { width, height });
    this.context = copy.getContext("2d", { willReadFrequently: true });
    this.context.drawImage(canvas, 0, 0, width, height);
    this.before = new Int32Array(this.context.getImageData(0, 0, width, height).data.buffer);
    this.pixels = this.context.createImageData(width, height);
    this.after = new Int32Array(this.pixels.data.buffer);
    this.isGrey = this.before.every((colour) => (colour & 255) * 0x010101 === (colour & 0xffffff));
  }
}

const OPACITY = 0xff000000; // the part of a pixel that stays as it is

/** Give grey pixels their new greys, in a third of the time that any colours take. */
function paintGreys(before, after, greys) {
  const colours = Int32Array.from(greys, (grey) => grey * 0x010101);
  for (let place = 0; place < before.length; place += 1) {
    const colour = before[place];
    after[place] = (colour & OPACITY) | colours[colour & 255];
  }
}

function paintColours(before, after, greys) {
  for (let place = 0; place < before.length; place += 1) {
    const colour = before[place];
    const [blue, green, red] = [greys[(colour >> 16) & 255], greys[(colour >> 8) & 255], greys[colour & 255]];
    after[place] = (colour & OPACITY) | (blue << 16) | (green << 8) | red;
  }
}

/** The new grey of each of the 256. */
function tableOf(tone) {
  const { slope, intercept } = lineOf(tone);
  return Uint8ClampedArray.from({ length: 256 }, (_, grey) => slope * grey + intercept * 255);
}
