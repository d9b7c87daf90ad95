"""How frequent pneumonia is among the children whom a department X-rays."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.core.cache import caches

from webapp.departments.models import Department
from webapp.reviews.models import Review
from webapp.studies.choices import ResultGroup, ReviewStage, Status, Verdict
from webapp.studies.meaning import ASSUMED
from webapp.studies.models import Image, Reading

#: A department's latest images by which it is judged.
LATEST = 1000
#: Verdicts that are enough: in all, and of the images with each answer.
ENOUGH, ENOUGH_OF_EACH = 100, 10
#: Seconds. Verdicts of a minute change next to nothing.
KEPT = 300
ANSWERS = (ResultGroup.POSITIVE, ResultGroup.UNCLEAR, ResultGroup.NEGATIVE)


@dataclass(frozen=True)
class Prevalence:
    """A share of pneumonias, and where it comes from.

    Attributes:
        share: of the children who are X-rayed.
        verdicts: images whose verdicts tell it; 0 where none do.
        chosen: whether a manager of the department has set it.
    """

    share: float
    verdicts: int = 0
    chosen: bool = False


def of(department: Department | None) -> Prevalence:
    """The share by the department's own verdicts where there are enough, else as its managers have set it, else the
    service's assumption.
    """
    if department is None:
        return Prevalence(ASSUMED)
    found: Prevalence | None = caches["process"].get_or_set(
        f"prevalence:{department.pk}", partial(_by_verdicts, department), KEPT
    )
    if found and found.verdicts:
        return found
    if department.prevalence is not None:
        return Prevalence(department.prevalence / 100, chosen=True)
    return Prevalence(ASSUMED)


def _by_verdicts(department: Department) -> Prevalence:
    """The share by the verdicts on a department's latest images; without verdicts where these are too few.

    Readers look at suspicious images first. So each answer's share of pneumonias is counted by itself, and weighs as
    much as the images that got that answer, read by people or not.
    """
    latest = Image.objects.filter(department=department, status=Status.SUCCEEDED, group__in=ANSWERS)
    found = list(latest.order_by("-created_at", "-pk").values_list("pk", "group", "verdict")[:LATEST])
    groups = {image: group for image, group, verdict in found if not verdict}
    # The model's answers where a verdict has come in their place.
    superseded = [image for image, _, verdict in found if verdict]
    answers = Reading.objects.filter(image__in=superseded, shadow=False, group__in=ANSWERS)
    groups.update(answers.values_list("image", "group"))
    given = Review.objects.filter(image__in=list(groups), verdict__in=(Verdict.NORMAL, Verdict.PNEUMONIA))
    given = given.exclude(image__stage=ReviewStage.SECOND)
    verdicts: dict[UUID, list[bool]] = defaultdict(list)
    # A third reader's decision comes last, and in place of the others.
    for image, verdict, decides in given.order_by("decides").values_list("image", "verdict", "decides"):
        earlier = [] if decides else verdicts[image]
        verdicts[image] = [*earlier, verdict == Verdict.PNEUMONIA]
    # Readers who disagree on an image count for half a pneumonia.
    by_group: dict[str, list[float]] = defaultdict(list)
    for image, said in verdicts.items():
        by_group[groups[image]].append(sum(said) / len(said))
    images = Counter(groups.values())
    if len(verdicts) < ENOUGH or any(len(by_group[group]) < ENOUGH_OF_EACH for group in images):
        return Prevalence(ASSUMED)
    share = sum(images[group] * sum(said) / len(said) for group, said in by_group.items()) / len(groups)
    # Never none nor all: what has not been seen may come.
    least = 0.5 / (len(verdicts) + 1)
    return Prevalence(min(max(share, least), 1 - least), len(verdicts))
