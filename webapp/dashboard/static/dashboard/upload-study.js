// Bulk uploads on the page: those that begin, and those of before that were not finished.

import { Bulk } from "./upload-bulk.js";
import { BulkView } from "./upload-bulk-view.js";
import { allKept, forget, memoryOf } from "./upload-kept.js";
import { request } from "./upload-transfer.js";
import { ago, say } from "./upload-words.js";

const kept = document.getElementById("kept");

// Upload files as a study, or go on where a page before has stopped. Returns the study when all were sent.
export async function uploadBulk({ title, files, manifests, fields, isAlone, done }) {
  const memory = memoryOf(files);
  if (memory) document.getElementById(`kept-${memory.study.id}`)?.remove();
  const view = new BulkView(memory?.title ?? title, async () => {
    await bulk.closeNow();
    done();
    window.location.assign(bulk.memory.study.page_url);
  });
  const bulk = new Bulk({ title: memory?.title ?? title, files, manifests, fields, memory, view });
  const whole = await bulk.run();
  done();
  if (bulk.ended) return null;
  view.changed();
  if (!whole) {
    view.emptyHanded();
    return null;
  }
  if (isAlone() && !bulk.refused.length && !bulk.known.length) window.location.assign(bulk.memory.study.page_url);
  else view.finished();
  return bulk.memory.study;
}

// What was not finished before, with what one can do about it.
export async function showKept() {
  for (const memory of allKept()) {
    const study = await stateOf(memory);
    if (!study) {
      forget(memory);
      continue;
    }
    const item = document.getElementById("kept-row").content.cloneNode(true).firstElementChild;
    item.id = `kept-${memory.study.id}`;
    const values = { name: memory.title || say("many_files"), taken: memory.done.length, n: memory.count, ago: ago(memory.at) };
    item.querySelector("p").textContent = say("was_interrupted", values);
    item.querySelector("a").href = memory.study.page_url;
    item.querySelector("button").addEventListener("click", async () => {
      await request("POST", `${memory.study.url}close/`).catch(() => null);
      forget(memory);
      window.location.assign(memory.study.page_url);
    });
    kept.append(item);
  }
}

// The study of something that was not finished; nothing where it is gone or cancelled, or is somebody else's.
async function stateOf(memory) {
  try {
    const answer = await fetch(memory.study.url, { headers: { Accept: "application/json" } });
    if (answer.status === 404) return null;
    const study = await answer.json();
    return study.status === "cancelled" ? null : study;
  } catch {
    return memory.study; // the line is away
  }
}
