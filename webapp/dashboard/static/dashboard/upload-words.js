// The words of the upload page, which the server writes into it in the reader's language.

const words = JSON.parse(document.getElementById("upload-words").textContent);
const language = document.documentElement.lang || "en";
const numbers = new Intl.NumberFormat(language);

// A text with the values of what it has in braces; numbers are written as the language does.
export function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? numbers.format(value) : value;
  });
}

export function megabytes(bytes) {
  const size = bytes / 2 ** 20;
  return numbers.format(size < 10 ? Math.round(size * 10) / 10 : Math.round(size));
}

// How long something takes, roughly.
export function duration(seconds) {
  if (seconds < 90) return say("seconds", { n: Math.max(5, Math.ceil(seconds / 5) * 5) });
  return seconds < 5400 ? say("minutes", { n: Math.round(seconds / 60) }) : say("hours", { n: Math.round(seconds / 360) / 10 });
}

export function ago(time) {
  const minutes = Math.round((Date.now() - time) / 60000);
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  if (minutes < 1) return say("just_now");
  if (minutes < 90) return relative.format(-minutes, "minute");
  return minutes < 36 * 60 ? relative.format(-Math.round(minutes / 60), "hour") : relative.format(-Math.round(minutes / 1440), "day");
}
