// The opacity of the map over an image. Showing it needs no script. Listens on the page, whose result htmx replaces.

document.documentElement.classList.add("scripted");

document.addEventListener("input", (event) => {
  if (event.target.id !== "opacity") return;
  document.getElementById("overlay").style.opacity = event.target.value / 100;
});
