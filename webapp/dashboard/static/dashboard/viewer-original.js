// The file's own pixels, for views that show more than the preview has. Loaded once, and only when they are needed.

const SIDE = 32; // of the small copies that are compared
const UNLIKE = 12; // mean difference of their greys from which on the browser shows another picture than was read

export class Original {
  /**
   * @param url empty where browsers do not show such a file.
   * @param size of the picture, as it was read.
   * @param preview its preview, which shows how it was read.
   */
  constructor(url, size, preview) {
    Object.assign(this, { url, size, preview, state: url ? "unknown" : "none" });
  }

  /** Load it, and call back with what can be drawn; not where it is loading or cannot be had. */
  async load(then) {
    if (this.state !== "unknown") return;
    this.state = "loading";
    try {
      const image = new Image();
      image.src = this.url;
      await image.decode();
      if (!this.isTheSame(image)) throw new Error("shown otherwise than it was read");
      // Kept decoded: browsers forget the pixels of an image that is not on the page.
      const drawn = await createImageBitmap(image);
      this.state = "there";
      then(drawn);
    } catch {
      this.state = "none";
      then(null);
    }
  }

  /** Whether the browser shows what was read: upright, and of the same greys. */
  isTheSame(image) {
    if (image.naturalWidth !== this.size.width || image.naturalHeight !== this.size.height) return false;
    const [one, other] = [greys(image), greys(this.preview)];
    return one.reduce((sum, grey, place) => sum + Math.abs(grey - other[place]), 0) / one.length < UNLIKE;
  }
}

function greys(image) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, SIDE, SIDE);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  return Array.from({ length: SIDE * SIDE }, (_, place) => {
    const [red, green, blue] = data.subarray(4 * place, 4 * place + 3);
    return 0.299 * red + 0.587 * green + 0.114 * blue;
  });
}
