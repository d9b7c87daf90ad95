"""Write a revision of each result that is new or has changed, and put it into the outbox for each destination.

It may run again with the same delivery: a result that has not changed since gets no other revision.
"""

from typing import Any

from webapp.dicom import results
from webapp.dicom.models import Destination, ResultObject, Revision, Sends
from webapp.dicom.services.destinations import DICOM, RESULT
from webapp.studies.choices import GROUP_BY_VERDICT, ReviewStage, Verdict
from webapp.studies.models import Image
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.transactions import atomically

#: As long as another reader is awaited, the last revision stands.
AWAITED = (ReviewStage.SECOND, ReviewStage.DISAGREED)


@atomically
def publish(delivery: Delivery) -> None:
    """Write a revision for each image whose result differs from its last one, and put it into the outbox."""
    keys = delivery.payload["images"]
    destinations: dict[Any, list[Destination]] = {}
    departments = Image.objects.filter(pk__in=keys).values("department")
    wanting = Destination.objects.exclude(sends=Sends.NOTHING).filter(enabled=True, department__in=departments)
    for one in wanting:
        destinations.setdefault(one.department_id, []).append(one)
    # Locked, so that revisions of an image are written one after the other.
    came = Image.objects.filter(pk__in=keys, department__isnull=False, instance__isnull=False)
    images = came.select_for_update(of=("self",)).order_by("pk")
    for image in images.prefetch_related("readings", "instance"):
        if revision := _revise(image):
            only = image.instance.results_to_id
            for destination in destinations.get(image.department_id, ()):
                if only in (None, destination.pk):
                    _put(revision, destination)


def _revise(image: Image) -> Revision | None:
    """A revision of an image's result as it is now; None where the last one says the same."""
    result = _result(image)
    if result is None:
        return None
    last = Revision.objects.filter(image=image).order_by("-number").first()
    if last and all(getattr(last, name) == value for name, value in result.items()):
        return None
    made = Revision.objects.create(image=image, number=last.number + 1 if last else 1, **result)
    ResultObject.objects.bulk_create(results.objects_of(made, last))
    return made


def _result(image: Image) -> dict[str, Any] | None:
    reading = image.result
    if reading is None or image.stage in AWAITED:
        return None
    overruled = bool(image.verdict) and GROUP_BY_VERDICT[Verdict(image.verdict)] != reading.group
    return {
        "bundle": reading.bundle,
        "probability": reading.probability,
        "threshold": reading.threshold,
        "operating_point": reading.operating_point,
        "group": reading.group,
        "warnings": [warning["code"] for warning in reading.warnings],
        "verdict": image.verdict if overruled else "",
        "verdict_kind": image.verdict_kind if overruled else "",
    }


def _put(revision: Revision, destination: Destination) -> None:
    payload = {"event": RESULT, "image": str(revision.image_id), "revision": str(revision.pk)}
    key = f"{DICOM}:{destination.pk}:{revision.pk}"
    outbox.put(DICOM, key, payload, subject=revision.image_id, destination=str(destination.pk))
