// Results as they come, and what they are called.

import { say } from "./upload-words.js";

const FINAL = ["succeeded", "failed", "cancelled"];
// The names of the groups, of warnings that make a result unreliable, the first one that applies, and of verdicts.
const WORDS = JSON.parse(document.getElementById("result-words").textContent);
const { groups: GROUPS, doubts: DOUBTS } = WORDS;

// A result as the lists of the pages show it: the readers' verdict or, without one, the model's answer.
export function answerOf(job) {
  const score = job.result_group === "unusable" ? "" : scoreOf(job);
  if (!job.verdict) return { tone: job.reliable ? job.result_group : "unusable", words: modelWords(job), score };
  const kind = job.verdict_kind ? `, ${WORDS.kinds[job.verdict_kind]}` : "";
  // The number stays the model's, and says so.
  return { tone: job.final_group, words: WORDS.verdicts[job.verdict] + kind, of: WORDS.model, score };
}

function modelWords({ result_group: group, warnings }) {
  const codes = warnings.map((warning) => warning.code);
  const doubt = Object.keys(DOUBTS).find((code) => codes.includes(code));
  if (!doubt) return GROUPS[group];
  return group === "unusable" ? DOUBTS[doubt] : `${DOUBTS[doubt]}: ${GROUPS[group]}`;
}

// The score as the pages write it, see `score` in templatetags/results.py: with as many decimals as are needed to tell
// it from each bound that it is below.
export function scoreOf({ probability, threshold, readings: [primary] }) {
  const { balanced = threshold, screening = WORDS.floor } = primary.operating_points;
  const above = [Math.min(screening, balanced), balanced].filter((bound) => probability < bound);
  let decimals = 1;
  while (decimals < 9 && above.some((bound) => percent(bound, decimals) === percent(probability, decimals))) decimals += 1;
  return percent(probability, decimals);
}

function percent(probability, decimals) {
  const steps = 10 ** (decimals + 2);
  if (probability < 1 / steps) return `< ${(100 / steps).toFixed(decimals)} %`;
  if (probability > 1 - 1 / steps) return `> ${(100 - 100 / steps).toFixed(decimals)} %`;
  return `${((Math.floor(probability * steps + 0.5) * 100) / steps).toFixed(decimals)} %`;
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
  if (job.status === "succeeded") row.result(answerOf(job));
  else row.fail(job.error?.detail ?? say("is_cancelled"));
}
