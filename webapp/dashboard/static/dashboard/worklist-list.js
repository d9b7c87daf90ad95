// The worklist by keyboard.

import { isForPage, showKeys } from "./keys.js";

const rows = () => [...document.querySelectorAll("#rows a.open")];

document.addEventListener("keydown", (event) => {
  if (!isForPage(event)) return;
  const here = rows().indexOf(document.activeElement?.closest?.(".work")?.querySelector("a.open"));
  if (event.key === "j") rows()[here + 1]?.focus();
  else if (event.key === "k") rows()[here - 1]?.focus();
  else if (event.key === "x" && here >= 0) rows()[here].closest(".work").querySelector("input").click();
  else if (event.key === "?") showKeys();
  else return;
  event.preventDefault();
});
