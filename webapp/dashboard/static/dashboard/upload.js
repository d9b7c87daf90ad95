// The drop zone: uploads with progress, several at once, and their results as they come.

import { ageIsRight, bodyWith, takeDescription } from "./upload-about.js";
import { fromDrop, fromInput, hintFor, isReadable, itemOf, stripped } from "./upload-files.js";
import { fingerprint, fingerprintOfAll, knownJob, remember } from "./upload-known.js";
import { answerOf, follow } from "./upload-results.js";
import { Row } from "./upload-rows.js";
import { showKept, uploadBulk } from "./upload-study.js";
import { newKey, NotSent, send } from "./upload-transfer.js";
import { say } from "./upload-words.js";

const AT_ONCE = 3;
const STUDY_FROM = 21; // so many files are a study of their own
const MANIFEST = "manifest.csv";

const form = document.getElementById("upload");
const hint = document.getElementById("upload-hint");
const maxBytes = Number(form.dataset.maxMb) * 2 ** 20;
const maxFiles = Number(form.dataset.maxFiles);

document.documentElement.classList.add("scripted");

let active = 0;
const waiting = [];
const chosen = new Set(); // fingerprints of what this page has taken and not given up
const unsent = new Set(); // rows whose files are not with the server yet

async function start(selections) {
  if (!ageIsRight()) {
    showMessage(say("wrong_age"));
    return;
  }
  const about = takeDescription();
  if (about.withoutPatients && about.manifest) {
    showMessage(say("stripped_manifest"));
    return;
  }
  const showStripping = (n, all) => showMessage(say("stripping", { n, all }));
  const found = about.withoutPatients ? await stripped(await selections, showStripping) : await selections;
  hint.hidden = true;
  if (!found.length) showMessage(say("not_read"));
  for (const selection of found) {
    for (const name of selection.unreadable) new Row(name).fail(say("unreadable"));
    for (const name of selection.refused) new Row(name).fail(say("not_stripped"));
    if (!selection.files.length) {
      if (selection.folder && !selection.refused.length) showMessage(say("empty_folder", { name: selection.folder }));
    } else if (isStudy(selection, about)) {
      uploadStudy(selection, about);
    } else {
      const onlyOne = selection.files.length === 1;
      for (const file of selection.files) waiting.push([file, waitingRow(file.name), onlyOne, about]);
      next();
    }
  }
}

function showMessage(text) {
  hint.textContent = text;
  hint.hidden = false;
}

function isStudy({ folder, files }, { name, manifest }) {
  return folder || name || manifest || files.length >= STUDY_FROM || files.some(({ name }) => /\.zip$/i.test(name));
}

function titleOf({ folder, files }) {
  if (folder) return say("folder_of", { name: folder, n: files.length });
  return files.length === 1 ? files[0].name : say("files", { n: files.length });
}

function waitingRow(name) {
  const row = new Row(name);
  unsent.add(row);
  return row;
}

function next() {
  while (active < AT_ONCE && waiting.length) {
    active += 1;
    const [chosenFile, row, onlyOne, about] = waiting.shift();
    uploadImage(chosenFile, row, onlyOne, about).finally(() => {
      active -= 1;
      next();
    });
  }
}

async function uploadImage({ file, name }, row, onlyOne, about, { again = false } = {}) {
  unsent.add(row);
  if (file.size > maxBytes) {
    giveUp(row, say("too_large", { mb: form.dataset.maxMb }));
    return;
  }
  let print;
  try {
    print = await fingerprint(file);
  } catch {
    giveUp(row, say("changed"));
    return;
  }
  const repeat = () => uploadImage({ file, name }, row, onlyOne, about, { again: true });
  if (!again && (await isRepeated(print, row, repeat))) return;
  const body = bodyWith(about.fields);
  body.append("file", file, name);
  await deliver({ url: form.dataset.images, body, print, row, file }, (job) => {
    if (onlyOne && !unsent.size) window.location.assign(job.page_url);
    else follow(job, row); // not awaited: the next upload need not wait for this result
  });
}

// The files, and the manifests that say whose they are. One without other files is a file.
function withoutManifests(files) {
  const isManifest = ({ name }) => name.split(" – ").at(-1).toLowerCase() === MANIFEST;
  const others = files.filter((one) => !isManifest(one));
  return others.length ? { files: others, manifests: files.filter(isManifest) } : { files, manifests: [] };
}

async function uploadStudy(selection, about, { again = false } = {}) {
  const { name: studyName, fields, manifest } = about;
  const files = manifest ? [...selection.files, itemOf(manifest, MANIFEST)] : selection.files;
  if (files.length > maxFiles) {
    giveUp(new Row(titleOf(selection)), say("too_many", { n: files.length, most: maxFiles }));
    return;
  }
  const print = fingerprintOfAll(files);
  if (!again && (chosen.has(print) || (await knownJob(print)))) {
    const row = new Row(titleOf(selection));
    await isRepeated(print, row, () => {
      row.item.remove();
      uploadStudy(selection, about, { again: true });
    });
    return;
  }
  chosen.add(print);
  const only = selection.files.length === 1 ? selection.files[0].name.replace(/\.zip$/i, "") : "";
  const title = studyName || selection.folder || only;
  const upload = { title, ...withoutManifests(files), fields, isAlone: () => !unsent.size && !selection.unreadable.length };
  unsent.add(upload);
  const study = await uploadBulk({ ...upload, done: () => unsent.delete(upload) });
  if (study) remember(print, study);
  else chosen.delete(print);
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
    if (known.job.status === "succeeded") row.result(answerOf(known.job), `${say("already_read", { ago: known.ago })} `);
    else row.state(say("already_uploaded", { ago: known.ago }));
  } else {
    row.state(say("already_chosen"), 0);
  }
  row.offer(say("upload_again"), uploadAgain);
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
      giveUp(row, say("changed"));
      return;
    }
    row.fail(error.message);
    if (error.reload) row.offer(say("reload"), () => window.location.reload());
    // As long as it can be sent again, leaving the page asks first.
    if (error.again) row.offer(say("try_again"), () => deliver(upload, goOn));
    else unsent.delete(row);
  }
}

function giveUp(row, text) {
  unsent.delete(row);
  row.fail(text);
}

const folder = document.getElementById("folder");
folder.previousElementSibling.hidden = !("webkitdirectory" in folder); // as on iPhones
for (const input of form.querySelectorAll("#files, #folder")) {
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
  if (event.target.matches?.("input, textarea")) return;
  const files = event.clipboardData?.files ?? [];
  if (files.length) start(fromInput(files));
  else if (event.clipboardData) showMessage(hintFor(event.clipboardData));
});
window.addEventListener("beforeunload", (event) => {
  if (unsent.size) event.preventDefault();
});
showKept();
