// Which files were uploaded before: the recent images on the page, and what this tab has sent, which the browser forgets
// with the tab.

import { ago } from "./upload-words.js";

const KEY = "uploads";
const HASHED_BYTES = 64 * 2 ** 20;

// What a file is recognised by: its content, or, where the browser cannot or should not read all of it, its looks.
export async function fingerprint(file) {
  if (!window.crypto.subtle || file.size > HASHED_BYTES) return looks(file);
  const digest = await window.crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What the files of a study are recognised by together.
export function fingerprintOfAll(files) {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const newest = files.reduce((latest, { modified }) => Math.max(latest, modified), 0);
  return [files.length, bytes, newest, files[0].name, files.at(-1).name].join("|");
}

function looks(file) {
  return [file.name, file.size, file.lastModified].join("|");
}

export function remember(print, job) {
  try {
    const known = { ...stored(), [print]: { url: job.url, at: Date.now() } };
    window.sessionStorage.setItem(KEY, JSON.stringify(known));
  } catch {
    // There is no room, or the browser keeps nothing: then these files are not recognised.
  }
}

function stored() {
  try {
    return JSON.parse(window.sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

function recent(print) {
  const thumb = [...document.querySelectorAll(".thumb")].find((one) => one.dataset.sha256 === print);
  return thumb && { url: thumb.dataset.url, at: Date.parse(thumb.dataset.at) };
}

// The job that was made of the same before, and when; nothing where it has failed or is gone.
export async function knownJob(print) {
  const known = stored()[print] ?? recent(print);
  if (!known) return null;
  try {
    const answer = await fetch(known.url, { headers: { Accept: "application/json" } });
    const job = answer.ok ? await answer.json() : null;
    return job && !["failed", "cancelled"].includes(job.status) ? { job, ago: ago(known.at) } : null;
  } catch {
    return null;
  }
}
