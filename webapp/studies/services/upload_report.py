"""Report which files of an upload were refused, and which were sent before."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from webapp.studies.choices import Status
from webapp.studies.models import Image, Study

#: Number of hashes in one query.
CHUNK = 500


def add_to(study: Study, images: Sequence[Image]) -> None:
    """Set on a study which of some newly stored images were refused, and which its owner has sent before."""
    study.refused = [
        {"filename": image.filename, "code": image.error_code, "detail": image.error_detail}
        for image in images
        if image.status == Status.FAILED
    ]
    study.duplicates = list(_sent_before(study, images))


def _sent_before(study: Study, images: Sequence[Image]) -> Iterator[tuple[str, UUID]]:
    new = {image.pk for image in images}
    earlier: dict[str, UUID] = {}
    hashes = sorted({image.sha256 for image in images if image.sha256})
    for start in range(0, len(hashes), CHUNK):
        existing = Image.objects.filter(sha256__in=hashes[start : start + CHUNK], **study.ownership)
        existing = existing.exclude(status__in=(Status.FAILED, Status.CANCELLED)).order_by("created_at")
        earlier |= {sha256: pk for sha256, pk in existing.values_list("sha256", "pk") if pk not in new}
    for image in images:
        if image.sha256 in earlier:
            yield image.filename, earlier[image.sha256]
        elif image.sha256:
            earlier[image.sha256] = image.pk  # another copy in the same upload counts as sent before
