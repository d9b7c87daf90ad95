// Many files as one study: small ones some at a time, large ones by tus, several requests at once. What has arrived is not
// sent again, neither after a break of the line nor after the page was closed and the same files chosen again.

import { isReadable } from "./upload-files.js";
import { forget, keep, newMemory, printOf } from "./upload-kept.js";
import { keyOf, newJob, plan, sizeOf } from "./upload-plan.js";
import { newKey, online, request } from "./upload-transfer.js";
import { sendByTus } from "./upload-tus.js";
import { say } from "./upload-words.js";

const AT_ONCE = 3;
const MOST_LISTED = 1000; // files of each list that a reload remembers
const LONGEST_PAUSE = 30_000;
const form = document.getElementById("upload");

export class Bulk {
  // title: the study's name. manifests: say whose the files are. fields: of the form. view: shows what happens.
  constructor({ title, files, manifests, fields, memory, view }) {
    Object.assign(this, { title, files, manifests, fields, memory, view });
    this.key = newKey();
    this.active = new Set();
    this.size = sizeOf(files);
    this.taken = 0; // files with the server
    this.refused = memory?.refused ?? []; // what was shown before a reload
    this.known = memory?.known ?? [];
    this.failed = [];
    this.isPaused = false;
    this.ended = "";
    this.abort = new AbortController();
  }

  // Send everything, and close the study. Returns whether it came to its end.
  async run() {
    this.view.bind(this);
    await this.#begin();
    if (!this.ended) await this.#sendAll();
    while (!this.ended && this.failed.length) {
      await this.view.askToRetry(this.failed);
      if (this.ended) break;
      this.jobs = this.failed.splice(0);
      await this.#sendAll();
    }
    return !this.ended && (await this.#close());
  }

  get arrived() {
    return this.size - sizeOf(this.jobs?.flatMap((job) => job.items) ?? this.files) - this.#waitingInHand();
  }

  #waitingInHand() {
    return [...this.active, ...this.failed].reduce((sum, job) => sum + job.size - job.sent, 0);
  }

  pause() {
    this.isPaused = true;
    this.abort.abort();
    this.view.changed();
  }

  resume() {
    this.isPaused = false;
    this.abort = new AbortController();
    this.wake?.();
    this.view.changed();
  }

  // Finish with what has arrived, whatever was not sent yet.
  async closeNow() {
    this.end("closed");
    if (this.memory) await this.#close();
  }

  async cancel() {
    this.end(this.memory ? "cancelling" : "cancelled");
    if (!this.memory) return;
    // Called cancelled once the service knows: who leaves the page before would read what is not so.
    if (!(await this.#insist(() => request("POST", `${this.memory.study.url}cancel/`)))) return;
    forget(this.memory);
    this.end("cancelled");
  }

  end(how) {
    this.ended = how;
    this.abort.abort();
    this.wake?.();
    this.view.changed();
  }

  async #begin() {
    if (!this.memory) {
      const body = new FormData();
      const { age, ...fields } = this.fields; // the age goes with the files
      for (const [name, value] of Object.entries({ ...fields, name: this.title, more_to_come: "true" })) {
        if (value || name === "department") body.append(name, value);
      }
      const made = await this.#insist(() => request("POST", form.dataset.studies, { headers: { "Idempotency-Key": this.key }, body }));
      if (!made) return;
      this.memory = newMemory(this.title, made.response, this.files);
      keep(this.memory);
    }
    this.jobs = plan(this.memory.study, this.files, this.memory);
    this.taken = this.files.length - this.jobs.reduce((sum, job) => sum + job.items.length, 0);
    this.view.changed();
  }

  async #sendAll() {
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.#sendSome()));
  }

  async #sendSome() {
    while (!this.ended && this.jobs.length) {
      const job = this.jobs.shift();
      this.active.add(job);
      this.view.changed();
      const gone = await this.#leaveOutUnreadable(job);
      if (gone.length) this.#refuse(gone.map((one) => ({ filename: one.name, detail: say("changed") })));
      const answer = job.items.length ? await this.#insist(() => this.#send(job), job) : null;
      this.active.delete(job);
      if (answer) this.#arrived(job, answer);
      this.view.changed();
    }
  }

  async #send(job) {
    const { study } = this.memory;
    this.memory.pending[job.key] = job.items.map((one) => one.print);
    keep(this.memory);
    const progress = (sent) => {
      job.sent = Math.min(sent, job.size);
      this.view.moved();
    };
    const { signal } = this.abort;
    if (job.byTus) {
      const [{ file, name }] = job.items;
      const metadata = { filename: name, study: study.id, age: this.fields.age };
      return sendByTus({ url: form.dataset.uploads, file, metadata, key: job.key, progress, signal });
    }
    const body = new FormData();
    for (const { file, name } of job.items) body.append("files", file, name);
    if (this.fields.age) body.append("age", this.fields.age);
    const headers = { "Idempotency-Key": job.key };
    return (await request("POST", study.images_url, { headers, body, progress, signal })).response;
  }

  #arrived(job, answer) {
    const { memory } = this;
    delete memory.pending[job.key];
    memory.done.push(...job.items.map((one) => one.print));
    this.taken += job.items.length;
    this.known.push(...(answer.duplicates ?? []).map(({ filename, page_url }) => ({ filename, page_url })));
    this.#refuse(answer.refused ?? []);
    keep(Object.assign(memory, { refused: this.refused.slice(0, MOST_LISTED), known: this.known.slice(0, MOST_LISTED) }));
  }

  #refuse(files) {
    const known = new Set(this.refused.map(({ filename, detail }) => filename + detail));
    this.refused.push(...files.filter(({ filename, detail }) => !known.has(filename + detail)));
  }

  async #leaveOutUnreadable(job) {
    const gone = [];
    for (const one of job.items) {
      if (!(await isReadable(one.file))) gone.push(one);
    }
    if (gone.length) {
      job.items = job.items.filter((one) => !gone.includes(one));
      Object.assign(job, newJob(job.items, keyOf(this.memory.study, job.items)));
    }
    return gone;
  }

  // Do something until it succeeds, through pauses and breaks of the line; nothing where it was refused for good.
  async #insist(act, job = null) {
    let pause = 1000;
    for (;;) {
      if (job) await this.#unpaused();
      if (job && this.ended) return null;
      try {
        const answer = await act();
        this.view.connected();
        return answer;
      } catch (error) {
        if (job) job.sent = job.byTus ? job.sent : 0;
        if (error.code === "paused") continue;
        if (!error.again) return this.#refusedForGood(error, job);
        if (job && error.network && !error.status && (await this.#leaveOutUnreadable(job)).length && !job.items.length) return null;
        this.view.waiting(error);
        await online(error.wait ? error.wait * 1000 : pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE);
      }
    }
  }

  #refusedForGood(error, job) {
    if (error.reload || !job || ["study_cancelled", "not_found", "not_allowed"].includes(error.code)) {
      this.end(error.code === "study_cancelled" ? "cancelled" : "stopped");
      this.view.stopped(error);
      if (["study_cancelled", "not_found"].includes(error.code) && this.memory) forget(this.memory);
    } else if (job.items.length === 1) {
      this.#refuse([{ filename: job.items[0].name, code: error.code, detail: error.message }]);
      delete this.memory.pending[job.key];
    } else {
      job.reason = error.message;
      this.failed.push(job);
    }
    return null;
  }

  async #unpaused() {
    while (this.isPaused && !this.ended) {
      await new Promise((resolve) => {
        const before = this.wake;
        this.wake = () => {
          before?.();
          resolve();
        };
      });
      this.wake = null;
    }
  }

  // Manifests go last: only then does the service know every file that they may name, those in ZIPs included.
  async #describe() {
    for (const one of this.manifests) {
      if (!(await isReadable(one.file))) {
        this.#refuse([{ filename: one.name, detail: say("changed") }]);
        continue;
      }
      const body = new FormData();
      body.append("files", one.file, one.name);
      const headers = { "Idempotency-Key": keyOf(this.memory.study, [{ print: printOf(one) }]) };
      await this.#insist(() => request("POST", this.memory.study.images_url, { headers, body }));
    }
  }

  async #close() {
    const { study } = this.memory;
    const isEmpty = !this.taken && !this.memory.done.length;
    if (!isEmpty) await this.#describe();
    forget(this.memory);
    if (isEmpty) {
      // Nothing of it could be taken: no empty study is left behind, where the sender may delete one.
      await request("DELETE", study.url).catch(() => request("POST", `${study.url}close/`).catch(() => null));
      return false;
    }
    return Boolean(await this.#insist(() => request("POST", `${study.url}close/`)));
  }
}
