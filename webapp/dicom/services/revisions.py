"""Create a revision of each result that is new or has changed, and put it into the outbox for each destination.

It may run again with the same delivery: a result that has not changed since then gets no new revision.
"""

from typing import Any

from webapp.dicom import results
from webapp.dicom.models import Destination, ResultObject, Revision, Sends
from webapp.dicom.services.destinations import DICOM, RESULT
from webapp.fhir.observations import is_by_reader
from webapp.studies.choices import ReviewStage
from webapp.studies.models import Image
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.transactions import atomically

#: Stages that wait for another reader. Until then the last revision stands.
AWAITED = (ReviewStage.SECOND, ReviewStage.DISAGREED)


@atomically
def publish(delivery: Delivery) -> None:
    """Create a revision for each image whose result differs from its last revision, and put it into the outbox."""
    keys = delivery.payload["images"]
    destinations: dict[Any, list[Destination]] = {}
    departments = Image.objects.filter(pk__in=keys).values("department")
    receivers = Destination.objects.exclude(sends=Sends.NOTHING).filter(enabled=True, department__in=departments)
    for one in receivers:
        destinations.setdefault(one.department_id, []).append(one)
    # Rows are locked, so that revisions of an image are created one after the other.
    from_dicom = Image.objects.filter(pk__in=keys, department__isnull=False, instance__isnull=False)
    images = from_dicom.select_for_update(of=("self",)).order_by("pk")
    for image in images.prefetch_related("readings", "instance"):
        if revision := _revise(image):
            only_destination = image.instance.results_to_id
            for destination in destinations.get(image.department_id, ()):
                if only_destination in (None, destination.pk):
                    _put(revision, destination)


def _revise(image: Image) -> Revision | None:
    """Create a revision of an image's current result; None if the last revision is the same."""
    result = _result(image)
    if result is None:
        return None
    last = Revision.objects.filter(image=image).order_by("-number").first()
    if last and all(getattr(last, name) == value for name, value in result.items()):
        return None
    revision = Revision.objects.create(image=image, number=last.number + 1 if last else 1, **result)
    ResultObject.objects.bulk_create(results.objects_of(revision, last))
    return revision


def _result(image: Image) -> dict[str, Any] | None:
    reading = image.result
    if reading is None or image.stage in AWAITED:
        return None
    by_reader = is_by_reader(image)
    return {
        "bundle": reading.bundle,
        "probability": reading.probability,
        "threshold": reading.threshold,
        "operating_point": reading.operating_point,
        "group": reading.group,
        "warnings": [warning["code"] for warning in reading.warnings],
        "verdict": image.verdict if by_reader else "",
        "verdict_kind": image.verdict_kind if by_reader else "",
    }


def _put(revision: Revision, destination: Destination) -> None:
    payload = {"event": RESULT, "image": str(revision.image_id), "revision": str(revision.pk)}
    key = f"{DICOM}:{destination.pk}:{revision.pk}"
    outbox.put(DICOM, key, payload, subject=revision.image_id, destination=str(destination.pk))
