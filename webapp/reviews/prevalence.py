"""The prevalence of pneumonia among the children whom a department X-rays."""

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

#: Number of a department's latest images from which the prevalence is computed.
LATEST = 1000
#: Number of verdicts required: in all, and for each of the model's answers.
ENOUGH, ENOUGH_OF_EACH = 100, 10
#: Seconds for which the prevalence is cached: a few new verdicts hardly change it.
CACHE_SECONDS = 300
ANSWERS = (ResultGroup.POSITIVE, ResultGroup.UNCLEAR, ResultGroup.NEGATIVE)


@dataclass(frozen=True)
class Prevalence:
    """The share of children with pneumonia, and its source.

    Attributes:
        share: share of the children who are X-rayed, between 0 and 1.
        verdicts: number of images from whose verdicts it was computed; 0 if it was not.
        chosen: whether a manager of the department has set it.
    """

    share: float
    verdicts: int = 0
    chosen: bool = False


def of(department: Department | None) -> Prevalence:
    """The prevalence computed from the department's verdicts if there are enough; otherwise the one that its managers
    have set, or else the service's assumption.
    """
    if department is None:
        return Prevalence(ASSUMED)
    computed: Prevalence | None = caches["process"].get_or_set(
        f"prevalence:{department.pk}", partial(_by_verdicts, department), CACHE_SECONDS
    )
    if computed and computed.verdicts:
        return computed
    if department.prevalence is not None:
        return Prevalence(department.prevalence / 100, chosen=True)
    return Prevalence(ASSUMED)


def _by_verdicts(department: Department) -> Prevalence:
    """The prevalence computed from verdicts on a department's latest images; the assumption, with 0 verdicts, if there
    are too few.

    Readers look at suspicious images first. So the share of pneumonias is computed separately for each of the model's
    answers, and weighted by the number of all images with this answer, whether people have read them or not.
    """
    latest = Image.objects.filter(department=department, status=Status.SUCCEEDED, group__in=ANSWERS)
    rows = list(latest.order_by("-created_at", "-pk").values_list("pk", "group", "verdict")[:LATEST])
    groups = {image: group for image, group, verdict in rows if not verdict}
    # An image with a verdict has the verdict's group, so the model's answer is read from its reading.
    superseded = [image for image, _, verdict in rows if verdict]
    answers = Reading.objects.filter(image__in=superseded, shadow=False, group__in=ANSWERS)
    groups.update(answers.values_list("image", "group"))
    reviews = Review.objects.filter(image__in=list(groups), verdict__in=(Verdict.NORMAL, Verdict.PNEUMONIA))
    reviews = reviews.exclude(image__stage=ReviewStage.SECOND)
    verdicts: dict[UUID, list[bool]] = defaultdict(list)
    # A third reader's decision comes last and replaces the other verdicts.
    for image, verdict, decides in reviews.order_by("decides").values_list("image", "verdict", "decides"):
        earlier = [] if decides else verdicts[image]
        verdicts[image] = [*earlier, verdict == Verdict.PNEUMONIA]
    # An image on which two readers disagree counts as half a pneumonia.
    by_group: dict[str, list[float]] = defaultdict(list)
    for image, positive in verdicts.items():
        by_group[groups[image]].append(sum(positive) / len(positive))
    images = Counter(groups.values())
    if len(verdicts) < ENOUGH or any(len(by_group[group]) < ENOUGH_OF_EACH for group in images):
        return Prevalence(ASSUMED)
    share = sum(images[group] * sum(shares) / len(shares) for group, shares in by_group.items()) / len(groups)
    # Never exactly 0 or 1: the verdicts are only a sample.
    least = 0.5 / (len(verdicts) + 1)
    return Prevalence(min(max(share, least), 1 - least), len(verdicts))
