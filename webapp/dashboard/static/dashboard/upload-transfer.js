// Requests with progress, and forms that are sent again after a break of the line, under the same Idempotency-Key, so that
// nothing is lost or stored twice.

import { isReadable } from "./upload-files.js";
import { say } from "./upload-words.js";

const PAUSES = [1000, 3000, 8000];
const form = document.getElementById("upload");

// What did not arrive: why, and whether it can be sent again.
export class NotSent extends Error {
  constructor(message, { again = false, reload = false, network = false, status = 0, code = "", wait = 0 } = {}) {
    super(message);
    Object.assign(this, { again, reload, network, status, code, wait });
  }
}

export function newKey() {
  return [...window.crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("-");
}

// Send a form until it has arrived, as far as patience goes.
export async function send(url, body, key, row) {
  const progress = (sent, total) => row.progress(total ? sent / total : 0);
  for (const pause of [...PAUSES, 0]) {
    try {
      return (await request("POST", url, { headers: { "Idempotency-Key": key }, body, progress })).response;
    } catch (error) {
      if (!error.network || !pause || !(await allReadable(body))) throw error;
      row.state(say("trying_again"), 0);
      await online(pause);
    }
  }
  return null; // not reached: the last attempt returns or throws
}

async function allReadable(body) {
  for (const value of body.values()) {
    if (value instanceof File && !(await isReadable(value))) return false;
  }
  return true;
}

// Wait some time, or until the browser is online again.
export function online(pause) {
  return new Promise((resolve) => {
    setTimeout(resolve, pause);
    window.addEventListener("online", () => setTimeout(resolve, 300), { once: true });
  });
}

// A request of this page, and its answer where it is a good one. fetch() reports no progress of uploads.
export function request(method, url, { headers = {}, body = null, progress = null, signal = null } = {}) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    sent.open(method, url);
    const pageUser = form.querySelector("[name=page_user]")?.value;
    const own = { Accept: "application/json", "X-CSRFToken": csrfToken(), ...(pageUser && { "X-Page-User": pageUser }) };
    for (const [name, value] of Object.entries({ ...own, ...headers })) sent.setRequestHeader(name, value);
    sent.responseType = "json";
    if (progress) {
      sent.upload.addEventListener("progress", (event) => progress(event.loaded, event.lengthComputable ? event.total : 0));
    }
    sent.addEventListener("load", () => {
      if (sent.status >= 200 && sent.status < 300) resolve(sent);
      else reject(refusal(sent));
    });
    sent.addEventListener("error", () => reject(new NotSent(say("not_reached"), { again: true, network: true })));
    sent.addEventListener("abort", () => reject(new NotSent("", { again: true, code: "paused" })));
    if (signal?.aborted) {
      reject(new NotSent("", { again: true, code: "paused" }));
      return;
    }
    signal?.addEventListener("abort", () => sent.abort(), { once: true });
    sent.send(body);
  });
}

function refusal(sent) {
  const { status, response } = sent;
  const code = response?.code ?? "";
  const known = { status, code, wait: Number(sent.getResponseHeader("Retry-After")) };
  const detail = response?.detail ?? say("answered", { status });
  if ([502, 503, 504].includes(status)) return new NotSent(detail, { again: true, network: true, ...known });
  const reload = ["signed_out", "session_changed", "csrf_failed"].includes(code) || status === 403;
  return new NotSent(detail, { again: [423, 429].includes(status) || status >= 500, reload, ...known });
}

// Signing in, also in another tab, makes a new token: that of the page itself may be out of date.
function csrfToken() {
  const start = `${form.dataset.csrfCookie ?? "csrftoken"}=`;
  const cookie = document.cookie.split("; ").find((one) => one.startsWith(start));
  return cookie?.slice(start.length) ?? form.querySelector("[name=csrfmiddlewaretoken]").value;
}
