// Where a picture lies in its pane: pure functions.
//
// A view is {zoom, x, y}: how many times larger than fitted, and which place of the picture is in the pane's middle, as
// shares of its width and height. So the same view suits pictures of any size. A size is that of a picture in its own
// pixels; a box is that of a pane in CSS pixels, with the screen pixels that each of these has, {width, height, ratio}.

export const FITTED = Object.freeze({ zoom: 1, x: 0.5, y: 0.5 });
const LARGEST = 16; // CSS pixels for a pixel of the picture
const CLOSEST = 8; // and at least so many times larger than fitted

const between = (value, least, most) => Math.min(Math.max(value, least), most);

export function fittedScale(size, box) {
  return Math.min(box.width / size.width, box.height / size.height);
}

/** CSS pixels for a pixel of the picture, and where its left upper corner is in the pane. */
export function place(view, size, box) {
  const scale = fittedScale(size, box) * view.zoom;
  return {
    scale,
    left: box.width / 2 - view.x * size.width * scale,
    top: box.height / 2 - view.y * size.height * scale,
  };
}

/** The zoom at which a pixel of the picture is a pixel of the screen. */
export function actualZoom(size, box) {
  return 1 / (fittedScale(size, box) * box.ratio);
}

export function zoomLimits(size, box) {
  return { least: Math.min(1, actualZoom(size, box)), most: Math.max(CLOSEST, LARGEST / fittedScale(size, box)) };
}

/** A view that leaves no more of the pane empty than it must. */
export function kept(view, size, box) {
  const { least, most } = zoomLimits(size, box);
  const zoom = between(view.zoom, least, most);
  const scale = fittedScale(size, box) * zoom;
  const along = (at, length, room) => {
    const half = room / 2 / (length * scale);
    return half >= 0.5 ? 0.5 : between(at, half, 1 - half);
  };
  return { zoom, x: along(view.x, size.width, box.width), y: along(view.y, size.height, box.height) };
}

/** Closer by a factor, so that what is at a point of the pane stays there. */
export function zoomedAt(view, factor, point, size, box) {
  const { least, most } = zoomLimits(size, box);
  const zoom = between(view.zoom * factor, least, most);
  const before = place(view, size, box);
  const scale = fittedScale(size, box) * zoom;
  const middle = (at, corner, length, room) => (at - corner) / (before.scale * length) - (at - room / 2) / (scale * length);
  return kept(
    {
      zoom,
      x: middle(point.x, before.left, size.width, box.width),
      y: middle(point.y, before.top, size.height, box.height),
    },
    size,
    box,
  );
}

/** Moved by so many CSS pixels. */
export function movedBy(view, dx, dy, size, box) {
  const { scale } = place(view, size, box);
  return kept({ ...view, x: view.x - dx / (size.width * scale), y: view.y - dy / (size.height * scale) }, size, box);
}
