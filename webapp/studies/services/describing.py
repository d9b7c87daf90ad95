"""A manifest that is added to an existing study: it describes all images that the study has at that time."""

import logging
from collections.abc import Sequence

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.refusals import Refused
from webapp.storage.media import media
from webapp.studies.files import zips
from webapp.studies.models import Archive, IdempotencyKey, Image, Patient, Study
from webapp.studies.particulars import Particulars
from webapp.studies.services import descriptions, idempotency, opening, patients, upload_report
from webapp.studies.services.contents import FoundManifest
from webapp.studies.services.descriptions import Descriptions, Place
from webapp.studies.services.judging import judge_again
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: Images that one statement changes.
CHUNK = 500


def describe_study(
    identity: Identity, study: Study, manifest: FoundManifest, *, key: IdempotencyKey | None = None
) -> Study:
    """Give a study's images the details from a manifest, which replace earlier ones.

    Raises:
        Refused: ``study_cancelled`` if the study was cancelled, ``study_gone`` if it was deleted.
    """
    packed = [(archive, _entries(archive)) for archive in study.archives.filter(state__in=Archive.PENDING)]
    matched = _describe(identity, study, manifest, packed, key)
    logger.info("study %s: a manifest describes %d images", study.pk, len(matched.by_place))
    return study


def _entries(archive: Archive) -> Sequence[zips.Entry]:
    try:
        with (
            media.open_seekable(str(archive.file.name)) as stream,
            zips.opened(stream) as unzipped,
        ):
            return unzipped.entries
    except (FileNotFoundError, Refused):
        return ()  # it has just been unpacked, or it can never be


@atomically
def _describe(
    identity: Identity,
    study: Study,
    manifest: FoundManifest,
    packed: Sequence[tuple[Archive, Sequence[zips.Entry]]],
    key: IdempotencyKey | None,
) -> Descriptions:
    current = opening.prolonged(study)
    images = {_place(image): image for image in study.images.select_related("archive")}
    paths = {place: _path(image) for place, image in images.items()}
    for archive, entries in packed:
        paths |= descriptions.paths_in_zip(archive.pk, archive.filename, entries)
    with_own_patient = {place for place, image in images.items() if image.patient_id != current.patient_id}
    matched = descriptions.match([(manifest, {sent for sent, _ in paths})], paths, Particulars(), with_own_patient)
    people = patients.named(study, matched.people())
    _describe_images(
        {image: matched.by_place[place] for place, image in images.items() if place in matched.by_place}, people
    )
    _describe_packed(study, {place: row for place, row in matched.by_place.items() if place not in images})
    study.manifest = descriptions.joined(current.manifest, matched.report_with(people))
    study.save(update_fields=["manifest"])
    study.skipped = []
    upload_report.add_to(study, [])
    idempotency.keep(key, study)
    record(identity, Action.CHANGE, study, described=len(matched.by_place))
    return matched


def _place(image: Image) -> Place:
    return (image.archive_id, image.archive_index) if image.archive_id else (image.pk, None)


def _path(image: Image) -> list[str]:
    return [image.archive.filename, *image.filename.split("/")] if image.archive else [image.filename]


def _describe_images(rows: dict[Image, Particulars], people: dict[str, Patient]) -> None:
    for image, row in rows.items():
        existing = Particulars(age=image.age_years, view=image.view or "", comment=image.comment or "")
        descriptions.describe(image, row.over(existing))
        image.patient = people.get(row.patient, image.patient)
    Image.objects.bulk_update(list(rows), ["patient", "age_years", "view", "comment"], batch_size=CHUNK)
    judge_again(Image.objects.filter(pk__in=[image.pk for image in rows]))


def _describe_packed(study: Study, rows: dict[Place, Particulars]) -> None:
    """Store the details of images that are not unpacked yet."""
    for archive in study.archives.select_for_update().filter(pk__in={key for key, _ in rows}):
        particulars = dict(archive.particulars or {})
        for (key, index), row in rows.items():
            if key == archive.pk:
                existing = Particulars.from_json(particulars.get(str(index)))
                particulars[str(index)] = row.over(existing).as_json()
        archive.particulars = particulars
        archive.save(update_fields=["particulars"])
