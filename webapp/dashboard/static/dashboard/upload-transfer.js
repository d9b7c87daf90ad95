// Sending: again after a break of the line, under the same Idempotency-Key, so that nothing is lost or stored twice.

import { isReadable } from "./upload-files.js";

const PAUSES = [1000, 3000, 8000];
const form = document.getElementById("upload");

// An upload that did not arrive: why, and whether it can be sent again.
export class NotSent extends Error {
  constructor(message, { again = false, reload = false, network = false } = {}) {
    super(message);
    this.again = again;
    this.reload = reload;
    this.network = network;
  }
}

export function newKey() {
  return [...window.crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("-");
}

// Send a form until it has arrived, as far as patience goes.
export async function send(url, body, key, row) {
  for (const pause of [...PAUSES, 0]) {
    try {
      return await post(url, body, key, row);
    } catch (error) {
      if (!error.network || !pause || !(await allReadable(body))) throw error;
      row.state("The connection is lost. Trying again …", 0);
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
function online(pause) {
  return new Promise((resolve) => {
    setTimeout(resolve, pause);
    window.addEventListener("online", () => setTimeout(resolve, 300), { once: true });
  });
}

// fetch() reports no progress of uploads.
function post(url, body, key, row) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.setRequestHeader("Idempotency-Key", key);
    const pageUser = form.querySelector("[name=page_user]")?.value;
    if (pageUser) request.setRequestHeader("X-Page-User", pageUser); // so that nothing is sent as somebody else
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) row.progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      if (request.status === 202) resolve(request.response);
      else reject(refusal(request));
    });
    request.addEventListener("error", () => {
      reject(new NotSent("The server cannot be reached. Nothing is lost: try again when the connection is back.", { again: true, network: true }));
    });
    request.send(body);
  });
}

function refusal(request) {
  const { status, response } = request;
  const detail = response?.detail ?? `The server answered ${status}.`;
  if ([502, 503, 504].includes(status)) return new NotSent(detail, { again: true, network: true });
  const reload = ["signed_out", "session_changed", "csrf_failed"].includes(response?.code) || status === 403;
  return new NotSent(detail, { again: status === 429 || status >= 500, reload });
}

// Signing in, also in another tab, makes a new token: that of the page itself may be out of date.
function csrfToken() {
  const start = `${form.dataset.csrfCookie ?? "csrftoken"}=`;
  const cookie = document.cookie.split("; ").find((one) => one.startsWith(start));
  return cookie?.slice(start.length) ?? form.querySelector("[name=csrfmiddlewaretoken]").value;
}
