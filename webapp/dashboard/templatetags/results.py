"""Results in words and on a scale."""

from django import template

from webapp.studies.choices import Label, Status
from webapp.studies.models import Image

register = template.Library()

WORDS = {Label.PNEUMONIA: "Signs of pneumonia", Label.NORMAL: "No signs of pneumonia found"}
DOUBTFUL = "Probably no usable chest X-ray"
#: Width of the scale's drawing, in its own units.
SCALE = 400
STEPS = {
    "queued": "Received, waiting to be prepared",
    "ready": "Prepared, waiting for the model",
    "running": "The model is reading it",
    "succeeded": "Read",
    "failed": "Could not be read",
    "cancelled": "Cancelled",
}


@register.filter
def in_words(label: str) -> str:
    """A label as a sentence for people."""
    return WORDS[Label(label)]


@register.filter
def percent(probability: float) -> str:
    """A probability in percent, with as many digits as it deserves: never 0 or 100."""
    if probability < 0.001:
        return "< 0.1 %"
    if probability > 0.999:
        return "> 99.9 %"
    return f"{probability * 100:.1f} %"


@register.filter
def on_scale(probability: float) -> str:
    """A probability's place on the scale."""
    return f"{probability * SCALE:.1f}"


@register.filter
def on_scale_text(probability: float) -> str:
    """Where the text of a place on the scale is centred, so that it does not leave the drawing."""
    return f"{min(max(probability * SCALE, 55), SCALE - 55):.1f}"


@register.filter
def beyond(probability: float) -> str:
    """What is left of the scale from there."""
    return f"{(1 - probability) * SCALE:.1f}"


@register.filter
def step(status: str) -> str:
    return STEPS[status]


@register.filter
def status_in_words(status: str) -> str:
    """A status as the word that follows a count."""
    return str(Status(status).label)


@register.filter
def result(image: Image) -> str:
    """What has become of an image, in a few words."""
    if not hasattr(image, "prediction"):
        return STEPS[image.status]
    return DOUBTFUL if image.prediction.is_doubtful else in_words(image.prediction.label)


@register.filter
def tone(image: Image) -> str:
    """The class that gives a result its colour."""
    if hasattr(image, "prediction"):
        if image.prediction.is_doubtful:
            return "failed"
        return "positive" if image.prediction.label == Label.PNEUMONIA else "negative"
    return "failed" if image.status == "failed" else "waiting"


@register.filter
def seconds_between(end: object, start: object) -> str:
    """Time between two moments, for people."""
    if not start or not end:
        return "–"
    return seconds((end - start).total_seconds())  # type: ignore[operator]


@register.filter
def seconds(value: float) -> str:
    """A measured time, for people."""
    return f"{value:.2f} s"


@register.filter
def waited(image: Image) -> str:
    """Time spent in both queues together: for its preparation and for the model."""
    if not (image.ingest_started_at and image.ready_at and image.claimed_at):
        return "–"
    return seconds(((image.ingest_started_at - image.created_at) + (image.claimed_at - image.ready_at)).total_seconds())


@register.filter
def duration(seconds: float | None) -> str:
    """A remaining time, roughly."""
    if seconds is None:
        return "not known yet"
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"
