// Moments by the clock of whoever reads the page, with the name of its time zone. Without scripts they are the server's.

const SHAPE = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
const SHAPES = [new Intl.DateTimeFormat("en-GB", SHAPE), new Intl.DateTimeFormat("en-GB", { ...SHAPE, second: "2-digit" })];

function localise(part) {
  for (const time of part.querySelectorAll("time.moment:not([title])")) {
    time.title = time.textContent;
    time.textContent = SHAPES[Number(time.classList.contains("seconds"))].format(new Date(time.dateTime));
  }
}

localise(document);
document.addEventListener("htmx:afterSettle", () => localise(document));
