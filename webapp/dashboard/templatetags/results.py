"""Template tags that describe results and draw their scale."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import floor
from typing import Any

from django import template
from django.utils.timesince import timesince
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from webapp.http.sentences import in_words
from webapp.reviews.models import Review
from webapp.studies.choices import DOUBTS, PneumoniaKind, ResultGroup, Status, StudyStatus, Verdict
from webapp.studies.models import Image, Reading
from webapp.studies.progress import Place, Progress

register = template.Library()

#: The most decimals of a score.
MOST_DECIMALS = 9
STEPS = {
    "queued": _("Received, waiting to be prepared"),
    "ready": _("Prepared, waiting for the model"),
    "running": _("The model is reading it"),
    "succeeded": _("Read"),
    "failed": _("Could not be read"),
    "cancelled": _("Cancelled"),
}
#: Files that browsers can decode. The viewer's script notices if a browser decodes one incorrectly.
BROWSERS_DECODE = (".jpg", ".png", ".gif", ".webp", ".bmp", ".avif")


@register.filter
def has_more_pixels(image: Image) -> bool:
    """Whether a browser can show more pixels from the uploaded file than from the preview."""
    name = str(image.file.name or "")
    return name.endswith(BROWSERS_DECODE) and name != str(image.preview.name)


@register.filter
def percent(probability: float, decimals: int = 1) -> str:
    """A probability in percent. It is never shown as 0 or 100."""
    steps = 10 ** (decimals + 2)
    if probability < 1 / steps:
        return f"< {100 / steps:.{decimals}f} %"
    if probability > 1 - 1 / steps:
        return f"> {100 - 100 / steps:.{decimals}f} %"
    # Half a step is rounded up, as in upload-results.js. Python's own rounding and JavaScript's differ there.
    return f"{floor(probability * steps + 0.5) * 100 / steps:.{decimals}f} %"


@register.filter
def score(result: Reading) -> str:
    """The model's score for pneumonia."""
    return percent(result.probability or 0.0, _decimals(result))


@register.filter
def like_score(bound: float, result: Reading) -> str:
    """A bound in percent, with as many decimals as the score beside it."""
    return percent(bound, _decimals(result))


def _decimals(result: Reading) -> int:
    """As many decimals as are needed to tell a score from each bound that it is below. The same rule is in
    upload-results.js.
    """
    share = result.probability or 0.0
    above = [bound for bound in (result.unclear_from, result.positive_from) if share < bound]
    for decimals in range(1, MOST_DECIMALS):
        if all(percent(bound, decimals) != percent(share, decimals) for bound in above):
            return decimals
    return MOST_DECIMALS


@register.filter
def whole_percent(share: float) -> str:
    """A share in whole percent."""
    return f"{share:.0%}".replace("%", " %")


@register.filter
def age_in_words(age: float) -> str:
    """An age in words: in years, or in months below three years."""
    if age >= 3:
        return ngettext("%(n)s year", "%(n)s years", int(age)) % {"n": int(age)}
    months = int(age * 12 + 1e-6)
    return ngettext("%(n)s month", "%(n)s months", months) % {"n": months}


@register.filter
def step(status: str) -> str:
    return str(STEPS[status])


@register.filter
def status_in_words(status: str) -> str:
    """The word for a status that follows a count."""
    return str(Status(status).label)


@register.filter
def how_many(progress: Progress) -> str:
    """A study's number of images; until it is finished, how many of them are done."""
    if not progress.is_final:
        return gettext("%(done)s of %(total)s done") % {"done": progress.done, "total": progress.total}
    images = ngettext("%(n)s image", "%(n)s images", progress.total) % {"n": progress.total}
    return f"{images}, {gettext('cancelled')}" if progress.status == StudyStatus.CANCELLED else images


@register.filter
def verdict_in_words(row: Image | Review) -> str:
    """A verdict in words: an image's final verdict or a reader's own.

    Args:
        row: an image or a review.
    """
    kind = getattr(row, "verdict_kind", "") or getattr(row, "kind", "")
    words = str(Verdict(row.verdict).label)
    return f"{words}, {PneumoniaKind(kind).label}" if kind else words


@register.filter
def result(image: Image) -> str:
    """An image's result in a few words: the readers' final verdict if there is one, otherwise the model's answer."""
    return words_of(image, image.result)


def words_of(image: Image, reading: Reading | None) -> str:
    """Like :func:`result`, for callers that have already looked up the image's reading."""
    return verdict_in_words(image) if image.verdict else _words_of_model(image, reading)


@register.filter
def model_answer(image: Image) -> str:
    """The model's answer in a few words. If it is unreliable, the reason comes first."""
    return _words_of_model(image, image.result)


def _words_of_model(image: Image, reading: Reading | None) -> str:
    if reading is None:
        return str(STEPS[image.status])
    group = str(ResultGroup(reading.group).label)
    codes = {warning["code"] for warning in reading.warnings}
    doubt = next((str(words) for code, words in DOUBTS.items() if code in codes), "")
    if not doubt:
        return group
    return f"{doubt}: {group}" if reading.is_usable else doubt


@register.filter
def explained(problem: Mapping[str, str]) -> str:
    """The sentence of a warning, or of an error of a ZIP or manifest."""
    return in_words(problem["code"], problem["detail"])


@register.filter
def failure(failed: Any) -> str:
    """Why an image or a ZIP could not be read."""
    return in_words(failed.error_code, failed.error_detail)


@register.filter
def reason(warning: Mapping[str, str], result: Reading) -> str:
    """The sentence of a warning. If the page does not show the probability, the part about it is left out."""
    detail = explained(warning)
    return detail if result.is_usable else detail.replace(" Do not rely on the probability.", "")


@register.filter
def sent_before(image: Image, earlier: Image) -> str:
    """How long before an image an earlier image was sent."""
    if image.created_at - earlier.created_at < timedelta(minutes=1):
        return gettext("just before")
    return gettext("%(time)s before") % {"time": timesince(earlier.created_at, image.created_at)}


@register.filter
def tone(image: Image) -> str:
    """The CSS class for a result's colour: the group of the verdict or, without one, of the model's answer, or else
    that the image failed or waits. An unreliable answer has the colour of unusable ones.
    """
    return tone_of(image, image.result)


def tone_of(image: Image, reading: Reading | None) -> str:
    """Like :func:`tone`, for callers that have already looked up the image's reading."""
    if image.verdict:
        return image.group
    if reading:
        return str(reading.group if reading.is_reliable else ResultGroup.UNUSABLE)
    return "failed" if image.status == Status.FAILED else "waiting"


@register.filter
def seconds_between(end: datetime | None, start: datetime | None) -> str:
    """The time between two times, in words."""
    if not start or not end:
        return "–"
    # The clocks of two machines may differ.
    return seconds(max(0.0, (end - start).total_seconds()))


@register.filter
def seconds(value: float) -> str:
    """A measured duration in words."""
    return gettext("%(number)s s") % {"number": f"{value:.2f}"}


@register.filter
def waited(image: Image) -> str:
    """The time that an image has spent in both queues together, before its preparation and before the model."""
    reading = image.reading
    if not (reading and image.ingest_started_at and reading.ready_at and reading.claimed_at):
        return "–"
    waits = (image.ingest_started_at - image.created_at) + (reading.claimed_at - reading.ready_at)
    return seconds(waits.total_seconds())


@register.filter
def place_in_queue(place: Place) -> str:
    """How many images are before a waiting image, and how long it will take."""
    many = ngettext("%(n)s image before it", "%(n)s images before it", place.before) % {"n": f"{place.before:,}"}
    before = many if place.before else gettext("It is next")
    if place.seconds is None:
        return f"{before}. {gettext('How long it takes is not known yet.')}"
    return f"{before}: {duration(place.seconds)}."


@register.filter
def duration(seconds: float | None) -> str:
    """An approximate remaining time in words."""
    if seconds is None:
        return gettext("not known yet")
    if seconds < 90:
        return gettext("about %(n)s s") % {"n": max(1, round(seconds))}
    return gettext("about %(n)s min") % {"n": round(seconds / 60)}
