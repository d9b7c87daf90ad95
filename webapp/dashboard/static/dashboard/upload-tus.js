// One file by tus 1.0 (https://tus.io), a part at a time: after an interruption it goes on where it was.

import { request } from "./upload-transfer.js";

const PART = 8 * 2 ** 20;
const VERSION = { "Tus-Resumable": "1.0.0" };
const WRONG_OFFSET = 409;

// Send a file, or what is missing of it, and return the upload as the server has it then. The same key is the same upload.
export async function sendByTus({ url, file, metadata, key, progress, signal }) {
  const begin = { ...VERSION, "Upload-Length": file.size, "Upload-Metadata": encoded(metadata), "Idempotency-Key": key };
  const begun = await request("POST", url, { headers: begin, signal });
  const { url: own } = begun.response;
  let offset = Number(begun.getResponseHeader("Upload-Offset"));
  while (offset < file.size) {
    progress(offset);
    const headers = { ...VERSION, "Upload-Offset": offset, "Content-Type": "application/offset+octet-stream" };
    try {
      const body = file.slice(offset, offset + PART);
      const taken = await request("PATCH", own, { headers, body, signal, progress: (sent) => progress(offset + sent) });
      offset = Number(taken.getResponseHeader("Upload-Offset"));
    } catch (error) {
      if (error.status !== WRONG_OFFSET || error.code !== "wrong_offset") throw error;
      const asked = await request("HEAD", own, { headers: VERSION, signal }); // an answer was lost on the way
      offset = Number(asked.getResponseHeader("Upload-Offset"));
    }
  }
  return (await request("GET", own, { signal })).response;
}

function encoded(metadata) {
  const pairs = Object.entries(metadata).filter(([, value]) => value);
  return pairs.map(([key, value]) => `${key} ${base64(value)}`).join(",");
}

function base64(text) {
  return window.btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
