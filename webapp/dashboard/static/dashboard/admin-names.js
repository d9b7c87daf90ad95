// Names for the fields of Django's admin that it shows no label for, so that they are told apart by ear as well.

function textOf(...parts) {
  return parts.map((part) => part?.textContent.trim()).filter(Boolean).join(" ");
}

function nameOf(field) {
  if (field.id === "searchbar") return field.labels[0]?.querySelector("img")?.alt;
  const cell = field.closest("td");
  if (cell) return textOf(cell.closest("table").tHead?.rows[0]?.cells[cell.cellIndex]); // that of its column
  return textOf(field.closest(".form-row")?.querySelector("label, legend"), field.previousSibling); // a date, or its time
}

function nameAll() {
  for (const field of document.querySelectorAll("input:not([type=hidden], [type=submit]), select, textarea")) {
    if (!field.ariaLabel && !textOf(...(field.labels ?? []))) field.ariaLabel = nameOf(field) ?? "";
  }
  for (const picture of document.querySelectorAll("span.help-tooltip[aria-label]")) picture.setAttribute("role", "img");
  for (const corner of document.querySelectorAll("th.original:empty")) corner.setAttribute("role", "cell");
}

window.addEventListener("load", nameAll); // after Django's own scripts have made their parts
document.addEventListener("formset:added", nameAll);
