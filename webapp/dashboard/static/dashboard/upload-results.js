// Results as they come, and what they are called.

import { say } from "./upload-words.js";

const FINAL = ["succeeded", "failed", "cancelled"];
// The names of the groups, and of warnings that make a result unreliable, the first one that applies.
const { groups: GROUPS, doubts: DOUBTS } = JSON.parse(document.getElementById("result-words").textContent);

// What a result is called, as the pages do it.
export function wordsOf({ result_group: group, warnings }) {
  const codes = warnings.map((warning) => warning.code);
  const doubt = Object.keys(DOUBTS).find((code) => codes.includes(code));
  if (!doubt) return GROUPS[group];
  return group === "unusable" ? DOUBTS[doubt] : `${DOUBTS[doubt]}: ${GROUPS[group]}`;
}

// Wait for a job to come to its end, and show where it is.
export async function follow(job, row) {
  row.link(job.page_url);
  let pause = 500;
  while (!FINAL.includes(job.status)) {
    row.state(say(`is_${job.status}`));
    try {
      const answer = await fetch(`${job.url}?wait=25`, { headers: { Accept: "application/json" } });
      if (answer.status === 404) {
        row.fail(say("gone"));
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
  if (job.status === "succeeded") row.result(job, wordsOf(job));
  else row.fail(job.error?.detail ?? say("is_cancelled"));
}
