// What mouse, fingers and keys do to a viewer.

const WHEEL = 0.0016; // of a factor, for a pixel that the wheel has turned
const PINCH = 0.01; // a touchpad's pinch, which browsers tell as a wheel with Ctrl
const LINE = 24; // pixels of a wheel that counts lines
const RIGHT = 2;

export const KEYS = {
  "=": "closer", "+": "closer", "-": "farther", 0: "fit", 9: "actual", i: "invert", w: "window", f: "full",
  r: "reset", m: "map", ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
};

/** Keys, while something of the viewer has the focus: others on the page have their own. */
export function listenToKeys(element, act) {
  element.addEventListener("keydown", (event) => {
    if (event.target.type === "range" && event.key.startsWith("Arrow")) return; // the slider's own
    const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!name || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act(name);
  });
}

/**
 * Pointers and the wheel over the panes.
 *
 * @param element holds all panes.
 * @param does {paneOf(event), pan(pane, dx, dy), zoom(pane, factor, point), window(dx, dy), windows(), oneFinger()}:
 *   windows() tells whether a drag changes the window, oneFinger() whether a single finger acts, and does not scroll the
 *   page. zoom() returns whether anything changed.
 */
export function listenToPointers(element, does) {
  const held = new Map();

  element.addEventListener("wheel", (event) => {
    const pane = does.paneOf(event);
    if (!pane) return;
    const pixels = event.deltaY * (event.deltaMode ? LINE : 1);
    const factor = Math.exp(-pixels * (event.ctrlKey ? PINCH : WHEEL));
    // Where it cannot be made smaller, the wheel scrolls the page.
    if (does.zoom(pane, factor, pane.pointOf(event)) || event.ctrlKey) event.preventDefault();
  }, { passive: false });

  element.addEventListener("pointerdown", (event) => {
    const pane = does.paneOf(event);
    if (!pane) return;
    held.set(event.pointerId, { pane, point: pane.pointOf(event) });
    if (event.pointerType !== "touch") element.setPointerCapture(event.pointerId);
  });

  element.addEventListener("pointermove", (event) => {
    const one = held.get(event.pointerId);
    if (!one) return;
    const before = one.point;
    one.point = one.pane.pointOf(event);
    const [dx, dy] = [one.point.x - before.x, one.point.y - before.y];
    const other = [...held.values()].find((pointer) => pointer !== one);
    if (other) {
      pinch(one.pane, before, one.point, one.pane === other.pane ? other.point : null);
    } else if (event.pointerType !== "touch" || does.oneFinger()) {
      if (does.windows() || event.buttons & RIGHT) does.window(dx, dy);
      else does.pan(one.pane, dx, dy);
    }
  });

  function pinch(pane, before, now, other) {
    if (!other) return;
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    const apart = (point) => Math.max(Math.hypot(point.x - other.x, point.y - other.y), 1);
    does.pan(pane, (now.x - before.x) / 2, (now.y - before.y) / 2);
    does.zoom(pane, apart(now) / apart(before), middle);
  }

  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, (event) => held.delete(event.pointerId));
  // Some systems open it when the button goes down, which is when a drag begins.
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  // Two fingers are the viewer's; one scrolls the page.
  const two = (event) => event.touches.length > 1 && event.cancelable && event.preventDefault();
  for (const kind of ["touchstart", "touchmove"]) element.addEventListener(kind, two, { passive: false });
}
