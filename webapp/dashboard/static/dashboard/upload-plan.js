// Which files go in which request.

import { printOf, short } from "./upload-kept.js";

const SMALL = 8 * 2 ** 20; // what is larger goes by tus, alone
const TOGETHER = 50; // small files in one request

// The requests of an upload: each has files, and a key that is the same when it is planned again.
export function plan(study, files, memory) {
  const done = new Set(memory.done);
  const left = files.map((one) => ({ ...one, print: printOf(one) })).filter((one) => !done.has(one.print));
  const by = new Map(left.map((one) => [one.print, one]));
  const jobs = [];
  for (const [key, prints] of Object.entries(memory.pending)) {
    // Their answer may have been lost: the same request again is answered with what was made of the first.
    if (!prints.every((print) => by.has(print))) continue;
    jobs.push(newJob(prints.map((print) => by.get(print)), key));
    for (const print of prints) by.delete(print);
  }
  let some = [];
  const flush = () => {
    if (some.length) jobs.push(newJob(some, keyOf(study, some)));
    some = [];
  };
  for (const one of by.values()) {
    if (one.size > SMALL) {
      jobs.push(newJob([one], keyOf(study, [one])));
      continue;
    }
    if (some.length === TOGETHER || sizeOf(some) + one.size > SMALL) flush();
    some.push(one);
  }
  flush();
  return jobs;
}

export function newJob(items, key) {
  return { items, key, size: sizeOf(items), sent: 0, byTus: items.length === 1 && items[0].size > SMALL };
}

export function keyOf(study, items) {
  return short([study.id, ...items.map((one) => one.print)].join("|"));
}

export function sizeOf(items) {
  return items.reduce((sum, { size }) => sum + size, 0);
}
