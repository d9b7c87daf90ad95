// Moments by the clock of whoever reads the page, with the name of its time zone. Without scripts they are the server's.

// The page's language, with the digits that the rest of the page has.
const { lang } = document.documentElement;
export const LOCALE = lang === "en" ? "en-GB" : `${lang}-u-nu-latn`;
const known = Intl.DateTimeFormat.supportedLocalesOf(LOCALE).length > 0; // not all browsers know Nepali

const SHAPE = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
const SHAPES = [new Intl.DateTimeFormat(LOCALE, SHAPE), new Intl.DateTimeFormat(LOCALE, { ...SHAPE, second: "2-digit" })];

function localise(part) {
  if (!known) return; // the server's words stay, with its time zone's name
  for (const time of part.querySelectorAll("time.moment:not([title])")) {
    time.title = time.textContent;
    time.textContent = SHAPES[Number(time.classList.contains("seconds"))].format(new Date(time.dateTime));
  }
}

localise(document);
document.addEventListener("htmx:afterSettle", () => localise(document));
