// DICOM files without their patient: a copy of what reading an X-ray needs, made in the browser before anything is sent.
// The pixels stay as they are, with any text in them. No library does this: dcmjs and dicom-parser read all of a file into
// memory, and what is to be trusted with patients should be short enough to be read.

const EXPLICIT = "1.2.840.10008.1.2.1";
const IMPLICIT = "1.2.840.10008.1.2";
const COMPRESSED = /^1\.2\.840\.10008\.1\.2\.(4\.\d+|5)$/; // JPEG and its like, RLE
const LONG = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const UNDEFINED = 0xffffffff;
const PIXELS = 0x7fe00010;
const [ITEM, END_OF_ITEM, END_OF_SEQUENCE] = [0xfffee000, 0xfffee00d, 0xfffee0dd];
const MOST_HEADER = 64 * 2 ** 20;
const DEEPEST = 20;
const META = new Set([0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013]);
// By what they say: the object, the examination's numbers, age and sex, view, the X-rays' bounds, how pixels are shown.
const KEPT = new Set([
  0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x00080068, 0x00082218, 0x00100040, 0x00101010, 0x00180015,
  0x00181164, 0x00181600, 0x00181602, 0x00181604, 0x00181606, 0x00181608, 0x00181610, 0x00181612, 0x00181620, 0x00181622,
  0x00181700, 0x00181702, 0x00181704, 0x00181706, 0x00181708, 0x00181710, 0x00181712, 0x00181720, 0x00185101, 0x0020000d,
  0x0020000e, 0x00200013, 0x00200020, 0x00200062, 0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011,
  0x00280030, 0x00280034, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280106, 0x00280107, 0x00280120, 0x00280121,
  0x00280301, 0x00281040, 0x00281041, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281054, 0x00281056, 0x00281101,
  0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203, 0x00282110, 0x00282112, 0x00282114, 0x00283000, 0x00283010,
  0x00540220, 0x20500020,
]);
// What says that it was done: Patient Identity Removed, and De-identification Method.
const DONE = [[0x00120062, "CS", "YES "], [0x00120063, "LO", "header reduced to what reading needs"]];

// A file that cannot be taken apart, of which nothing may be sent.
export class NotStripped extends Error {}

class TooShort extends Error {} // more of the file is needed

// A copy of a DICOM file without what identifies its patient.
export async function strip(file, name) {
  for (let size = 2 ** 18; ; size *= 8) {
    const head = new DataView(await file.slice(0, size).arrayBuffer());
    try {
      return new File(await partsOf(file, head), name, { type: "application/dicom", lastModified: file.lastModified });
    } catch (error) {
      if (!(error instanceof TooShort || error instanceof RangeError)) throw error;
      if (size >= file.size || size >= MOST_HEADER) throw new NotStripped();
    }
  }
}

async function partsOf(file, head) {
  if (head.byteLength < 144 || text(head, 128, 4) !== "DICM") throw new NotStripped();
  const meta = [];
  let syntax = "";
  let at = 132;
  while (head.getUint16(at, true) === 0x0002) {
    const element = elementAt(head, at, true);
    if (element.length === UNDEFINED) throw new NotStripped();
    if (element.tag === 0x00020010) syntax = text(head, element.value, element.length).replace(/[\0 ]+$/, "");
    if (META.has(element.tag)) meta.push(bytes(head, at, element.end));
    at = element.end;
  }
  const explicit = syntax === EXPLICIT || COMPRESSED.test(syntax);
  if (!explicit && syntax !== IMPLICIT) throw new NotStripped();
  const kept = [];
  const done = [...DONE];
  for (let last = 0; ; ) {
    const element = elementAt(head, at, explicit);
    if (element.tag <= last) throw new NotStripped(); // the order is what tells where one is
    last = element.tag;
    while (done.length && done[0][0] < element.tag) kept.push(made(done.shift(), explicit));
    if (element.tag === PIXELS) {
      kept.push(file.slice(at, await endOfPixels(file, element)));
      break;
    }
    if (element.length === UNDEFINED) element.end = endOfSequence(head, element.value, explicit && element.vr !== "UN", 0);
    if (KEPT.has(element.tag)) kept.push(bytes(head, at, element.end));
    at = element.end;
  }
  const size = meta.reduce((sum, one) => sum + one.byteLength, 0);
  const length = new DataView(new ArrayBuffer(12)); // of the file meta information
  length.setUint32(0, 0x00000002, true);
  length.setUint32(4, 0x00044c55, true); // "UL", 4 bytes
  length.setUint32(8, size, true);
  return [new Uint8Array(128), "DICM", length, ...meta, ...kept];
}

// An element's tag, representation, and where its value lies.
function elementAt(view, at, explicit) {
  const tag = view.getUint16(at, true) * 2 ** 16 + view.getUint16(at + 2, true);
  if (!explicit || tag >= 0xfffe0000) return withValue(view, { tag, vr: "" }, at + 8, view.getUint32(at + 4, true));
  const vr = text(view, at + 4, 2);
  if (!/^[A-Z]{2}$/.test(vr)) throw new NotStripped();
  if (LONG.has(vr)) return withValue(view, { tag, vr }, at + 12, view.getUint32(at + 8, true));
  return withValue(view, { tag, vr }, at + 8, view.getUint16(at + 6, true));
}

function withValue(view, element, value, length) {
  const end = value + length;
  if (length !== UNDEFINED && element.tag !== PIXELS && end > view.byteLength) throw new TooShort();
  return { ...element, value, length, end };
}

// Where a sequence of undefined length ends, with all that is nested in it.
function endOfSequence(view, at, explicit, depth) {
  if (depth > DEEPEST) throw new NotStripped();
  for (;;) {
    const item = elementAt(view, at, explicit);
    if (item.tag === END_OF_SEQUENCE) return item.value;
    if (item.tag !== ITEM) throw new NotStripped();
    at = item.length === UNDEFINED ? endOfItem(view, item.value, explicit, depth) : item.end;
  }
}

function endOfItem(view, at, explicit, depth) {
  for (;;) {
    const element = elementAt(view, at, explicit);
    if (element.tag === END_OF_ITEM) return element.value;
    const nested = element.length === UNDEFINED;
    at = nested ? endOfSequence(view, element.value, explicit && element.vr !== "UN", depth + 1) : element.end;
  }
}

// Where the pixels end: what comes after them may be anything.
async function endOfPixels(file, { length, value, end }) {
  if (length !== UNDEFINED) {
    if (end > file.size) throw new NotStripped();
    return end;
  }
  for (let at = value; ; ) {
    if (at + 8 > file.size) throw new NotStripped();
    const head = new DataView(await file.slice(at, at + 8).arrayBuffer());
    const tag = head.getUint16(0, true) * 2 ** 16 + head.getUint16(2, true);
    if (tag === END_OF_SEQUENCE) return at + 8;
    if (tag !== ITEM) throw new NotStripped();
    at += 8 + head.getUint32(4, true);
  }
}

function text(view, at, length) {
  return String.fromCharCode(...bytes(view, at, at + length));
}

function bytes(view, start, end) {
  if (end > view.byteLength) throw new TooShort();
  return new Uint8Array(view.buffer, start, end - start);
}

function made([tag, vr, value], explicit) {
  const head = new DataView(new ArrayBuffer(8));
  head.setUint16(0, tag >>> 16, true);
  head.setUint16(2, tag & 0xffff, true);
  if (explicit) {
    head.setUint16(4, vr.charCodeAt(0) | (vr.charCodeAt(1) << 8), true);
    head.setUint16(6, value.length, true);
  } else {
    head.setUint32(4, value.length, true);
  }
  return new Blob([head, value]);
}
