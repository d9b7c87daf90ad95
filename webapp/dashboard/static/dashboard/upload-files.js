// What was chosen, dropped or pasted: files, those in folders, and what is neither.

import { strip } from "./upload-strip.js";
import { say } from "./upload-words.js";

const TURN = 30; // milliseconds after which the page may move again

// One selection: its files, each with the name that it will have, and the folder that they came from, if any.
export class Selection {
  constructor(folder = "") {
    this.folder = folder;
    this.files = [];
    this.unreadable = []; // names
    this.refused = []; // names of what patients could not be removed from
  }

  add(file, path = file.name) {
    this.files.push(itemOf(file, nameOf(path)));
  }
}

// A file and the name that it will have. Its size and time are asked for once: the browser looks at the disk each time.
export function itemOf(file, name) {
  return { file, name, size: file.size, modified: file.lastModified };
}

// These distinguish files of the same name in several folders. The top folder names the study.
function nameOf(path) {
  const parts = path.split("/").filter(Boolean);
  return parts.length > 2 ? parts.slice(1).join(" – ") : parts.at(-1);
}

export async function fromInput(files) {
  const all = [...files]; // the input forgets its own
  const folder = all[0]?.webkitRelativePath.split("/")[0] ?? "";
  const selection = new Selection(folder);
  let since = performance.now();
  for (const file of all) {
    selection.add(file, file.webkitRelativePath || file.name);
    // The page stands still while the browser looks at the disk.
    if (performance.now() - since > TURN) {
      await new Promise((resolve) => setTimeout(resolve));
      since = performance.now();
    }
  }
  return [selection];
}

// The selections of a drop: the loose files, and one for each folder.
export function fromDrop(transfer) {
  // Both are only there until the event has been handled.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const dropped = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  return collect(dropped);
}

async function collect(dropped) {
  const loose = new Selection();
  const selections = [loose];
  for (const [entry, file] of dropped) {
    if (entry?.isDirectory) {
      const selection = new Selection(entry.name);
      selections.push(selection);
      await addFolder(selection, entry);
    } else if (file) {
      loose.add(file);
    }
  }
  return selections.filter((one) => one === loose ? one.files.length : true);
}

async function addFolder(selection, folder) {
  let entries;
  try {
    entries = await entriesOf(folder);
  } catch {
    selection.unreadable.push(folder.name);
    return;
  }
  for (const entry of entries.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }))) {
    if (entry.isDirectory) {
      await addFolder(selection, entry);
      continue;
    }
    try {
      selection.add(await new Promise((resolve, reject) => entry.file(resolve, reject)), entry.fullPath);
    } catch {
      selection.unreadable.push(entry.name);
    }
  }
}

// A browser gives at most a hundred entries at a time, and none when it has given all.
async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return entries;
    entries.push(...some);
  }
}

// The same selections with copies of their files that name no patient, neither within nor by their names. What cannot be
// taken apart is not among them, but listed as refused.
export async function stripped(selections, shown) {
  const made = [];
  for (const { folder, files, unreadable } of selections) {
    const selection = new Selection(folder && say("stripped_folder"));
    selection.unreadable = [...unreadable];
    for (const [index, { file, name }] of files.entries()) {
      shown(index + 1, files.length);
      try {
        selection.add(await strip(file, `${index + 1}.dcm`));
      } catch {
        selection.refused.push(name);
      }
    }
    made.push(selection);
  }
  return made;
}

// The hint for a drop or paste that contains no file.
export function hintFor(transfer) {
  const types = [...transfer.types];
  if (types.includes("text/uri-list")) {
    return say("was_link");
  }
  return say(types.length ? "was_text" : "was_nothing");
}

// Whether a file can still be read: a browser refuses one that was changed or moved after it was chosen.
export async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
