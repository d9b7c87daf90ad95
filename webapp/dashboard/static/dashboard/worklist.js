// Reading a worklist by keyboard: verdicts, the next image without a wait, and who else has it open.
//
// The next image's page and pictures are loaded while this one is looked at, and put in its place when they are asked for.

import { isForPage, showKeys } from "./keys.js";
import { LOCALE } from "./times.js";

const { gettext, interpolate } = window; // the words of the page's language

const RENEW = 30_000;
const VERDICTS = { 1: "PNEUMONIA", 2: "NORMAL", 3: "UNUSABLE", 4: "UNSURE" };
const KINDS = { b: "bacterial", v: "viral" };
const TRAIL = "worklist-trail";

let ahead = null; // the page that is loaded already
let noted = ""; // the image that the server was last told is open here
let busy = false;

const main = document.getElementById("main");
const bar = () => document.getElementById("worklist-image");
const form = () => document.getElementById("verdict");
const token = () => document.querySelector("[name=csrfmiddlewaretoken]").value;

function tell(text) {
  document.getElementById("worklist-news").textContent = text;
}

// --- from image to image ---------------------------------------------------------------------------------------------

function load(url) {
  const one = { url, pictures: [] };
  one.page = fetch(url, { headers: { "HX-Request": "true" } }).then(async (answer) => {
    if (!answer.ok || answer.redirected) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // Not its map: the server draws that for a long time, and few are looked at.
    for (const { src } of page.querySelectorAll("#main .film img:not(.overlay)")) {
      const picture = new Image();
      picture.src = src;
      picture.decode().catch(() => {}); // one that cannot be had is shown as missing when its turn comes
      one.pictures.push(picture);
    }
    return page;
  });
  one.page.catch(() => {}); // told when it is asked for
  return one;
}

function loadNext() {
  const url = document.getElementById("next")?.href;
  if (url && ahead?.url !== url) ahead = load(url);
}

// Show another image of the list in place of this one. Without an answer the browser goes there by itself.
async function show(url, news = "", note = () => history.pushState(null, "", url)) {
  const one = ahead?.url === url ? ahead : load(url);
  const page = await one.page.catch(() => null);
  if (!page?.getElementById("worklist-image")) {
    location.assign(url);
    return;
  }
  ahead = null;
  note();
  document.title = page.title;
  window.htmx.swap(main, page.getElementById("main").innerHTML, { swapStyle: "innerHTML", swapDelay: 0, settleDelay: 0 });
  window.scrollTo(0, 0);
  begin(news, one.pictures);
}

function trail() {
  return JSON.parse(sessionStorage.getItem(TRAIL) ?? "[]");
}

async function goOn(news = "") {
  const next = document.getElementById("next")?.href;
  if (!next) {
    location.assign(document.getElementById("to-list").href);
    return;
  }
  sessionStorage.setItem(TRAIL, JSON.stringify([...trail(), location.href].slice(-200)));
  await show(next, news);
}

async function goBack() {
  const been = trail();
  const url = been.pop() ?? document.getElementById("previous")?.href;
  sessionStorage.setItem(TRAIL, JSON.stringify(been));
  if (url) await show(url);
  else tell(gettext("This is the first one."));
}

window.addEventListener("popstate", () => location.reload());

// --- verdicts --------------------------------------------------------------------------------------------------------

async function send(url, options) {
  try {
    return await fetch(url, { ...options, headers: { "X-CSRFToken": token(), Accept: "application/json", ...options.headers } });
  } catch {
    return null;
  }
}

async function judge(verdict) {
  const given = new FormData(form());
  const kind = verdict === "PNEUMONIA" ? given.get("kind") : "";
  const body = JSON.stringify({ verdict, kind, comment: given.get("comment").trim(), seen: given.get("seen") });
  const answer = await send(form().dataset.api, { method: "PUT", headers: { "Content-Type": "application/json" }, body });
  if (answer?.ok) {
    const words = form().querySelector(`[value="${verdict}"]`).firstChild.textContent.trim();
    const sort = kind && form().querySelector(`[name=kind][value=${kind}]`).nextSibling.textContent.trim();
    await goOn(interpolate(gettext("Kept: %s. k goes back to it."), [sort ? `${words}, ${sort}` : words]));
    return;
  }
  const problem = await answer?.json().catch(() => null);
  if (problem?.code === "reviewed_meanwhile") {
    ahead = null;
    const found = gettext("Another reader has given a verdict on this image while you had it open.");
    const news = gettext("Yours was not kept; give it once more if it shall count.");
    await show(location.href, `${found} ${news}`, () => {});
    return;
  }
  tell(problem?.detail ?? gettext("The server cannot be reached. The verdict was not kept; please try again."));
}

async function mark() {
  const body = new FormData();
  body.append("images", bar().dataset.pk);
  body.append("action", bar().querySelector(".stat") ? "routine" : "stat");
  const answer = await send(bar().dataset.mark, { method: "POST", body, redirect: "manual" });
  if (answer?.type === "opaqueredirect") await show(location.href, "", () => {});
  else tell(gettext("It could not be marked. Please try again."));
}

document.addEventListener("submit", (event) => {
  if (event.target !== form()) return;
  event.preventDefault();
  if (event.submitter) once(() => judge(event.submitter.value));
});

// --- who else has it open --------------------------------------------------------------------------------------------

async function keepOpen() {
  if (document.hidden) return;
  const { pk, open, stage } = bar().dataset;
  const body = new FormData();
  if (noted && noted !== pk) body.append("left", noted);
  noted = pk;
  const answer = await send(open, { method: "POST", body });
  const state = answer?.ok && !answer.redirected ? await answer.json() : null;
  if (!state || bar().dataset.pk !== pk) return;
  document.getElementById("opened-by").replaceChildren(
    ...state.readers.map(({ name, since }) => {
      const note = document.createElement("span");
      const time = new Date(since).toLocaleTimeString(LOCALE, { hour: "2-digit", minute: "2-digit" });
      note.textContent = `${interpolate(gettext("%(name)s has it open since %(time)s."), { name, time }, true)} `;
      return note;
    }),
  );
  if (state.stage !== stage) tell(gettext("Another reader has given a verdict meanwhile."));
}

// --- the page --------------------------------------------------------------------------------------------------------

async function once(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } finally {
    busy = false;
  }
}

// A new image is shown; its pictures are held so that the browser does not fetch them once more.
function begin(news = "", pictures = []) {
  begin.pictures = pictures;
  if (news) tell(news);
  loadNext();
  // After the next page, which the reader may be waiting for.
  Promise.allSettled([ahead?.page]).then(keepOpen);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.id === "review-comment") event.target.blur();
  if (!isForPage(event)) return;
  const key = event.key;
  if (key === "j") once(goOn);
  else if (key === "k") once(goBack);
  else if (VERDICTS[key] && form()) once(() => judge(VERDICTS[key]));
  else if (KINDS[key] && form()) form().querySelector(`[name=kind][value=${KINDS[key]}]`).checked = true;
  else if (key === "c" && form()) document.getElementById("review-comment").focus();
  else if (key === "s") once(mark);
  else if (key === "u") location.assign(document.getElementById("to-list").href);
  else if (key === "?") showKeys();
  else return;
  event.preventDefault();
});

setInterval(keepOpen, RENEW);
document.addEventListener("visibilitychange", keepOpen);
begin();
