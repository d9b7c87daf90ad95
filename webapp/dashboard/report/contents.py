"""The text of a report."""

from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from webapp.accounts.identity import Identity
from webapp.dashboard.templatetags import meaning, results
from webapp.refusals import Refused
from webapp.reviews.access import visible_reviews
from webapp.studies.models import Image, Reading

NOT_A_DIAGNOSIS = _(
    "This is not a diagnosis. It is a model's answer, for trained staff who judge the image together with the patient."
)
PURPOSE = _(
    "For trained staff, in addition to their own reading of a frontal chest X-ray of a child aged one to five, or to "
    "decide which images to read first. Not for adults, babies, side views, photographs of films or other diseases, "
    "and not to rule out pneumonia. It is not a diagnosis and not a medical device."
)
NOT_SHOWN = _("The model's answer is not shown, because it means nothing for an image like this.")
#: Number of verdicts that are printed, latest first.
VERDICTS = 3
#: Longest text that is printed, in characters. The image's page shows longer texts completely.
LONGEST = 240


@dataclass(frozen=True)
class Contents:
    """The text of a report, from top to bottom.

    Attributes:
        answer: the result in a few words.
        tone: the name of the result's colour, as on the pages.
        score: the model's score; empty if it must not be relied on.
        explained: sentences about the score.
        warnings: sentences.
        facts: names and values.
        verdicts: the readers' verdicts.
        shows_map: whether the report shows the map.
    """

    answer: str
    tone: str
    score: str
    explained: list[str]
    warnings: list[str]
    facts: list[tuple[str, str]]
    verdicts: list[str]
    shows_map: bool
    filename: str
    made: str = field(default_factory=lambda: _moment(timezone.now()))


def of(image: Image, identity: Identity) -> Contents:
    """The contents of an image's report, for an identity that may see the image.

    Raises:
        Refused: ``not_read_yet``.
    """
    result = image.result
    if result is None:
        raise Refused("not_read_yet", "The report is available once the model has read the image.")
    return Contents(
        answer=results.result(image),
        tone=results.tone(image),
        score="" if image.verdict else _score(result),
        explained=_explained(image, result),
        warnings=[_short(results.explained(warning)) for warning in result.warnings],
        facts=_facts(image, result),
        verdicts=_verdicts(image, identity),
        shows_map=result.is_usable and bool(result.heatmap),
        filename=image.filename,
    )


def _score(result: Reading) -> str:
    return results.score(result) if result.is_usable else ""


def _explained(image: Image, result: Reading) -> list[str]:
    if image.verdict:
        values = {"answer": results.model_answer(image), "score": _score(result)}
        if not result.is_usable:
            return [gettext("This is the readers' verdict. The model's answer was: %(answer)s.") % values]
        words = gettext(
            "This is the readers' verdict. The model's answer was: %(answer)s, with a score for pneumonia of %(score)s."
        )
        return [words % values]
    if not result.is_usable:
        return [str(NOT_SHOWN)]
    unclear, positive = (results.like_score(bound, result) for bound in (result.unclear_from, result.positive_from))
    bounds = gettext(
        "Below %(unclear)s no signs were found; from %(positive)s up there are signs of pneumonia; between them the "
        "model does not decide, and the image should be read first."
    )
    lines = [bounds % {"unclear": unclear, "positive": positive}]
    if result.group == "negative":
        lines.append(gettext("It does not rule pneumonia out."))
    if explanation := meaning.meaning(image):
        lines += [explanation["sentence"], explanation["limits"]]
    return lines


def _facts(image: Image, result: Reading) -> list[tuple[str, str]]:
    patient = image.patient
    threshold = ""
    if result.is_usable and result.threshold:
        threshold = ", " + gettext("from %(threshold)s up") % {
            "threshold": results.like_score(result.threshold, result)
        }
    facts = [
        (
            gettext("Patient"),
            " · ".join(part for part in (patient.identifier, patient.name) if part) if patient else "",
        ),
        (gettext("Born"), date_format(patient.birth_date) if patient and patient.birth_date else ""),
        (gettext("Sex"), str(patient.get_sex_display()) if patient and patient.sex else ""),
        (gettext("Age"), results.age_in_words(image.age) if image.age is not None else ""),
        (pgettext("X-ray", "View"), str(image.get_view_display()) if image.view else ""),
        (gettext("Department"), image.department.name if image.department else ""),
        (gettext("File"), image.filename),
        (gettext("Received"), _moment(image.created_at)),
        (gettext("Comment"), image.comment or ""),
        (gettext("Model"), result.bundle),
        (gettext("Operating point"), f"{result.operating_point}{threshold}" if result.operating_point else ""),
        (gettext("Image"), str(image.pk)),
    ]
    return [(name, _short(value)) for name, value in facts if value]


def _verdicts(image: Image, identity: Identity) -> list[str]:
    reviews = visible_reviews(identity, image).order_by("-updated_at")
    lines = [
        gettext("%(verdict)s, by %(reader)s, %(moment)s")
        % {
            "verdict": results.verdict_in_words(review),
            "reader": review.reviewer_name or gettext("a former reader"),
            "moment": _moment(review.updated_at),
        }
        + (f": {_short(review.comment)}" if review.comment else "")
        for review in reviews[: VERDICTS + 1]
    ]
    return (
        lines
        if len(lines) <= VERDICTS
        else [*lines[:VERDICTS], gettext("There are more verdicts on the image's page.")]
    )


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def _moment(value: datetime) -> str:
    local = timezone.localtime(value)
    return f"{date_format(local)}, {local:%H:%M} {local.tzname()}"
