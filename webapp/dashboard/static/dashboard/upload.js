// The drop zone: uploads with progress, several at once, and their results as they come.

import { fromDrop, fromInput, hintFor, isReadable, Selection } from "./upload-files.js";
import { fingerprint, fingerprintOfAll, knownJob, remember } from "./upload-known.js";
import { follow, wordsOf } from "./upload-results.js";
import { Row } from "./upload-rows.js";
import { newKey, NotSent, send } from "./upload-transfer.js";

const AT_ONCE = 3;
const STUDY_FROM = 21; // so many files are a study of their own
const CHANGED = "This file was changed, moved or deleted after it was chosen. Please choose it again.";

const form = document.getElementById("upload");
const hint = document.getElementById("upload-hint");
const department = document.getElementById("department"); // only present if the user may upload to a department
const age = document.getElementById("age");
const maxBytes = Number(form.dataset.maxMb) * 2 ** 20;
const maxFiles = Number(form.dataset.maxFiles);

document.documentElement.classList.add("scripted");

let active = 0;
const waiting = [];
const chosen = new Set(); // fingerprints of what this page has taken and not given up
const unsent = new Set(); // rows whose files are not with the server yet

async function start(selections) {
  hint.hidden = true;
  if (!age.checkValidity()) {
    showMessage("The age is a number of years, such as 2 or 3.5. Nothing was uploaded: please correct it, and choose the files again.");
    age.focus();
    return;
  }
  const found = await selections;
  if (!found.length) showMessage("The browser could not read what was dropped. Please choose the files instead.");
  for (const selection of found) {
    for (const name of selection.unreadable) new Row(name).fail("This cannot be read. Please look at it and choose it again.");
    if (!selection.files.length) {
      if (selection.folder) showMessage(`There are no files in the folder “${selection.folder}”.`);
    } else if (selection.folder || selection.files.some(isZip) || selection.files.length >= STUDY_FROM) {
      uploadStudy(selection, new Row(titleOf(selection)));
    } else {
      const onlyOne = selection.files.length === 1;
      for (const file of selection.files) waiting.push([file, waitingRow(file.name), onlyOne]);
      next();
    }
  }
}

function showMessage(text) {
  hint.textContent = text;
  hint.hidden = false;
}

function isZip({ name }) {
  return /\.zip$/i.test(name);
}

function titleOf({ folder, files }) {
  if (folder) return `${folder} (${files.length} ${files.length === 1 ? "file" : "files"})`;
  return files.length === 1 ? files[0].name : `${files.length} files`;
}

function waitingRow(name) {
  const row = new Row(name);
  unsent.add(row);
  return row;
}

function next() {
  while (active < AT_ONCE && waiting.length) {
    active += 1;
    const [chosenFile, row, onlyOne] = waiting.shift();
    uploadImage(chosenFile, row, onlyOne).finally(() => {
      active -= 1;
      next();
    });
  }
}

async function uploadImage({ file, name }, row, onlyOne, { again = false } = {}) {
  unsent.add(row);
  if (file.size > maxBytes) {
    giveUp(row, `The file is larger than ${form.dataset.maxMb} MB. Please export a smaller one.`);
    return;
  }
  let print;
  try {
    print = await fingerprint(file);
  } catch {
    giveUp(row, CHANGED);
    return;
  }
  const repeat = () => uploadImage({ file, name }, row, onlyOne, { again: true });
  if (!again && (await isRepeated(print, row, repeat))) return;
  const body = newBody();
  body.append("file", file, name);
  await deliver({ url: form.dataset.images, body, print, row, file }, (job) => {
    if (onlyOne && !unsent.size) window.location.assign(job.page_url);
    else follow(job, row); // not awaited: the next upload need not wait for this result
  });
}

async function uploadStudy(selection, row, { again = false } = {}) {
  unsent.add(row);
  const readable = [];
  for (const one of selection.files) {
    if (await isReadable(one.file)) readable.push(one);
    else new Row(one.name).fail(CHANGED);
  }
  if (!readable.length) {
    giveUp(row, "None of these files can be read any more. Please choose them again.");
    return;
  }
  if (readable.length > maxFiles) {
    giveUp(row, `These are ${readable.length} files, and a study may have ${maxFiles}. Please send it in parts.`);
    return;
  }
  const rest = Object.assign(new Selection(selection.folder), { files: readable });
  const print = fingerprintOfAll(readable);
  if (!again && (await isRepeated(print, row, () => uploadStudy(rest, row, { again: true })))) return;
  const body = newBody();
  for (const { file, name } of readable) body.append("files", file, name);
  const title = selection.folder || (readable.length === 1 ? readable[0].name.replace(/\.zip$/i, "") : "");
  if (title) body.append("name", title);
  await deliver({ url: form.dataset.studies, body, print, row }, (job) => {
    // Stay on this page if a file is missing, or other files are still being sent.
    if (readable.length === selection.files.length && !selection.unreadable.length && !unsent.size) {
      window.location.assign(job.page_url);
      return;
    }
    row.link(job.page_url);
    row.state("Uploaded");
  });
}

// Whether the same file was chosen or uploaded before. If so, the row offers to upload it anyway.
async function isRepeated(print, row, uploadAgain) {
  const before = chosen.has(print);
  chosen.add(print);
  const known = await knownJob(print);
  if (!known && !before) return false;
  unsent.delete(row);
  if (known) {
    row.link(known.job.page_url);
    if (known.job.status === "succeeded") row.result(known.job, wordsOf(known.job), `Already read, ${known.ago}: `);
    else row.state(`Already uploaded, ${known.ago}`);
  } else {
    row.state("Already chosen: it is in this list", 0);
  }
  row.offer("Upload again", uploadAgain);
  return true;
}

// Send a form and follow its job. On an error, the row shows the reason and offers the next step.
async function deliver(upload, goOn) {
  const { url, body, print, row, file } = upload;
  upload.key ??= newKey(); // the same when it is sent again
  unsent.add(row);
  try {
    const job = await send(url, body, upload.key, row);
    unsent.delete(row);
    remember(print, job);
    goOn(job);
  } catch (error) {
    chosen.delete(print);
    if (!(error instanceof NotSent)) throw error;
    if (error.network && file && !(await isReadable(file))) {
      giveUp(row, CHANGED);
      return;
    }
    row.fail(error.message);
    if (error.reload) row.offer("Reload the page", () => window.location.reload());
    // As long as it can be sent again, leaving the page asks first.
    if (error.again) row.offer("Try again", () => deliver(upload, goOn));
    else unsent.delete(row);
  }
}

function giveUp(row, text) {
  unsent.delete(row);
  row.fail(text);
}

function newBody() {
  const body = new FormData();
  if (age.value) body.append("age", age.value);
  if (department) body.append("department", department.value);
  return body;
}

// The age stays for the next image, until the tab is closed.
try {
  age.value ||= window.sessionStorage.getItem("age") ?? "";
  age.addEventListener("input", () => window.sessionStorage.setItem("age", age.value));
} catch {
  // The browser keeps nothing: then it is asked for again.
}

const folder = document.getElementById("folder");
folder.previousElementSibling.hidden = !("webkitdirectory" in folder); // as on iPhones
for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    if (input.files.length) start(fromInput(input.files));
    input.value = "";
  });
}

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // or the browser would open what is dropped, and leave this page
    form.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  if (!event.dataTransfer) return;
  if ([...event.dataTransfer.types].includes("Files")) start(fromDrop(event.dataTransfer));
  else showMessage(hintFor(event.dataTransfer));
});
document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files ?? [];
  if (files.length) start(fromInput(files));
  else if (event.clipboardData) showMessage(hintFor(event.clipboardData));
});
window.addEventListener("beforeunload", (event) => {
  if (unsent.size) event.preventDefault();
});
