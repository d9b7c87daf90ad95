// Keys of pages: which of them a page takes, and the dialog that names them.

document.documentElement.classList.add("scripted");

// Whether a key is meant for the page, and not for a field, a dialog or the browser.
export function isForPage(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  return !event.target.closest?.("textarea, select, dialog[open], input:not([type=radio], [type=checkbox])");
}

export function showKeys() {
  document.getElementById("keys")?.showModal();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys]")) showKeys();
});
