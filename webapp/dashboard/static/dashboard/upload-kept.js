// Bulk uploads that are not finished. The browser remembers what of each has arrived, but not the files: it gives these to a
// page only when they are chosen again.

const START = "bulk:";
const DAYS = 7;
const SAMPLE = 20;

// A short name for a file. The same name, size and time are the same file.
export function printOf({ name, size, modified }) {
  return short([name, size, modified].join("|"));
}

// 106 bits of a text, quickly: cryptographic functions are missing where a page comes without TLS.
export function short(text) {
  return hash(text, 1) + hash(text, 2);
}

// Two rounds of 32 bits that are mixed with each other, as public-domain cyrb53 has it.
function hash(text, seed) {
  let [high, low] = [0xdeadbeef ^ seed, 0x41c6ce57 ^ seed];
  for (let at = 0; at < text.length; at += 1) {
    high = Math.imul(high ^ text.charCodeAt(at), 2654435761);
    low = Math.imul(low ^ text.charCodeAt(at), 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return (4294967296 * (2097151 & low) + (high >>> 0)).toString(36);
}

export function newMemory(title, study, files) {
  const sample = files.slice(0, SAMPLE).map(printOf);
  return { title, study, count: files.length, sample, done: [], pending: {}, at: Date.now() };
}

export function keep(memory) {
  try {
    window.localStorage.setItem(START + memory.study.id, JSON.stringify({ ...memory, at: Date.now() }));
  } catch {
    // There is no room, or the browser keeps nothing: then it goes on as long as the page is open.
  }
}

export function forget(memory) {
  try {
    window.localStorage.removeItem(START + memory.study.id);
  } catch {
    // It was not kept.
  }
}

export function allKept() {
  try {
    const keys = Object.keys(window.localStorage).filter((key) => key.startsWith(START));
    const all = keys.map((key) => JSON.parse(window.localStorage.getItem(key)));
    all.filter((one) => one.at < Date.now() - DAYS * 86400000).forEach(forget);
    return all.filter((one) => one.at >= Date.now() - DAYS * 86400000);
  } catch {
    return [];
  }
}

// What is remembered of these files, if they were being uploaded before.
export function memoryOf(files) {
  const prints = new Set(files.map(printOf));
  return allKept().find((memory) => memory.sample.some((print) => prints.has(print)));
}
