// The drop zone: uploads with progress, several at once, and their results as they come.

const AT_ONCE = 3;
const STUDY_FROM = 21; // so many files are a study of their own
const FINAL = ["succeeded", "failed", "cancelled"];
const WORDS = {
  positive: "Signs of pneumonia",
  unclear: "Unclear: have it read first",
  negative: "No signs of pneumonia found",
  unusable: "Probably no usable chest X-ray",
};
const STEPS = { queued: "Waiting to be prepared", ready: "Waiting for the model", running: "The model is reading it" };

const form = document.getElementById("upload");
const input = document.getElementById("files");
const list = document.getElementById("uploads");
const news = document.getElementById("news"); // read out by screen readers; percentages of uploads are not
const rowTemplate = document.getElementById("upload-row");
const pageUser = form.querySelector("[name=page_user]").value;
const department = document.getElementById("department"); // only there for those who may upload to one
const maxBytes = Number(form.dataset.maxMb) * 2 ** 20;

document.documentElement.classList.add("scripted");

let active = 0;
const waiting = [];

function start(files) {
  const chosen = [...files];
  if (!chosen.length) return;
  if (chosen.some(isZip) || chosen.length >= STUDY_FROM) {
    uploadStudy(chosen);
  } else {
    for (const file of chosen) waiting.push([file, addRow(file.name), chosen.length === 1]);
    next();
  }
}

function isZip(file) {
  return /\.zip$/i.test(file.name);
}

function next() {
  while (active < AT_ONCE && waiting.length) {
    active += 1;
    const [file, row, onlyOne] = waiting.shift();
    uploadImage(file, row, onlyOne).finally(() => {
      active -= 1;
      next();
    });
  }
}

async function uploadImage(file, row, onlyOne) {
  if (file.size > maxBytes) {
    row.fail(`The file is larger than ${form.dataset.maxMb} MB. Please export a smaller one.`);
    return;
  }
  const body = newBody();
  body.append("file", file);
  let job;
  try {
    job = await post(form.dataset.images, body, row);
  } catch (error) {
    row.fail(error.message);
    return;
  }
  if (onlyOne) {
    window.location.assign(job.page_url);
    return;
  }
  follow(job, row); // not awaited: the next upload need not wait for this result
}

async function uploadStudy(files) {
  const row = addRow(files.length === 1 ? files[0].name : `${files.length} files`);
  const body = newBody();
  for (const file of files) body.append("files", file);
  if (files.length === 1) body.append("name", files[0].name.replace(/\.zip$/i, ""));
  try {
    window.location.assign((await post(form.dataset.studies, body, row)).page_url);
  } catch (error) {
    row.fail(error.message);
  }
}

function newBody() {
  const body = new FormData();
  if (department) body.append("department", department.value);
  return body;
}

// Signing in, also in another tab, makes a new token: that of the page itself may be out of date.
function csrfToken() {
  const start = `${form.dataset.csrfCookie}=`;
  const cookie = document.cookie.split("; ").find((one) => one.startsWith(start));
  return cookie?.slice(start.length) ?? "";
}

// fetch() cannot tell how far an upload is.
function post(url, body, row) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.setRequestHeader("X-Page-User", pageUser); // so that nothing is sent as somebody else
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) row.progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      if (request.status === 202) resolve(request.response);
      else reject(new Error(request.response?.detail ?? `The server answered ${request.status}. Please try again.`));
    });
    request.addEventListener("error", () => reject(new Error("The server cannot be reached. Please try again.")));
    request.send(body);
  });
}

async function follow(job, row) {
  row.link(job.page_url);
  let pause = 500;
  while (!FINAL.includes(job.status)) {
    row.state(STEPS[job.status] ?? job.status);
    try {
      const answer = await fetch(`${job.url}?wait=25`, { headers: { Accept: "application/json" } });
      if (answer.status === 404) {
        row.fail("It is no longer yours to see, or was deleted.");
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      job = await answer.json();
      pause = 500;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(pause * 2, 15000);
    }
  }
  if (job.status === "succeeded") row.result(job);
  else row.fail(job.error?.detail ?? "Cancelled");
}

// As the pages write it: never 0 or 100.
function percent(probability) {
  if (probability < 0.001) return "< 0.1 %";
  if (probability > 0.999) return "> 99.9 %";
  return `${(probability * 100).toFixed(1)} %`;
}

function addRow(name) {
  const item = rowTemplate.content.cloneNode(true).firstElementChild;
  const label = item.querySelector(".upload-name");
  const bar = item.querySelector("progress");
  const state = item.querySelector(".upload-state");
  label.textContent = name;
  label.title = name;
  bar.setAttribute("aria-label", `Upload of ${name}`);
  state.textContent = "Waiting to be uploaded";
  list.append(item);
  return {
    progress(share) {
      bar.value = share * 100;
      state.textContent = share < 1 ? `Uploading, ${Math.floor(share * 100)} %` : "Uploaded";
    },
    state(text) {
      bar.value = 100;
      state.textContent = text;
    },
    link(url) {
      const link = document.createElement("a");
      link.href = url;
      link.textContent = name;
      label.replaceChildren(link);
    },
    result(job) {
      const tag = document.createElement("span");
      tag.className = `tag ${job.result_group}`;
      tag.textContent = WORDS[job.result_group];
      const figure = document.createElement("strong");
      figure.textContent = percent(job.probability);
      if (job.reliable) state.replaceChildren(tag, " ", figure);
      else state.replaceChildren(tag);
      item.classList.add("done");
      news.textContent = `${name}: ${state.textContent}`;
    },
    fail(text) {
      bar.value = 0;
      state.textContent = text;
      state.classList.add("bad");
      news.textContent = `${name}: ${text}`;
    },
  };
}

input.addEventListener("change", () => {
  start(input.files);
  input.value = "";
});

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  form.classList.remove("over");
  start(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => start(event.clipboardData?.files ?? []));
