"""Begin, continue and end uploads. :mod:`webapp.studies.services.uploads` handles a complete file like any other."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import IO, Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import Http404
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.access import department_for
from webapp.refusals import Refused
from webapp.resumable import files
from webapp.resumable.models import State, Upload
from webapp.studies.access import visible_study
from webapp.studies.files import signatures
from webapp.studies.models import IdempotencyKey, Image, Study
from webapp.studies.services import idempotency, limits, uploads

logger = logging.getLogger(__name__)

#: Time after its last part for which an upload is kept.
KEEP_FOR = timedelta(hours=24)
#: Reasons that may pass: the same file may be accepted later.
TEMPORARY = ("daily_limit_reached", "not_accepting", "session_changed")
CHUNK = 500


@dataclass(frozen=True)
class Part:
    """The part of a file that a request contains; see :func:`webapp.resumable.files.append`."""

    offset: int
    body: IO[bytes]
    size: int
    checksum: tuple[str, bytes] | None = None


def create(identity: Identity, length: int, metadata: str, parsed: dict[str, Any], key: str = "") -> Upload:
    """Begin an upload, or return the one that the same sender has begun with the same key.

    Args:
        identity: the sender.
        length: bytes of the whole file.
        metadata: the metadata as the client sent it.
        parsed: the parsed metadata: ``filename``, ``study``, ``study_name``, ``department`` and properties of images.
        key: the client's Idempotency-Key.

    Raises:
        Refused: ``idempotency_key_reused``, ``daily_limit_reached``, or the sender may not upload there.
        Http404: the study does not exist, or the sender may not see it.
    """
    if key and (existing := _existing(identity, key, length, metadata)):
        return existing
    if study := parsed.get("study"):
        visible_study(identity, UUID(study), permissions.may_add_to)
    else:
        department = department_for(identity, parsed.get("department"))
        parsed = {**parsed, "department": department.slug if department else ""}
    upload = Upload(
        user=identity.user, guest=None if identity.user else identity.guest, length=length, metadata=metadata,
        key=_digest(identity, key) if key else None, given=parsed, expires_at=timezone.now() + KEEP_FOR,
    )  # fmt: skip
    with limits.count_announced(identity, length):
        files.create(upload.pk)
        try:
            with transaction.atomic():
                upload.save(force_insert=True)
        except IntegrityError:
            files.delete(upload.pk)
            if key and (existing := _existing(identity, key, length, metadata)):
                return existing
            raise
    logger.info("upload %s of %d bytes begins", upload.pk, length)
    return upload


def _digest(identity: Identity, key: str) -> str:
    return idempotency.digest_of(identity, f"resumable {key}")


def _existing(identity: Identity, key: str, length: int, metadata: str) -> Upload | None:
    senders = [identity]
    if identity.user:
        as_guest = Upload.objects.filter(user=identity.user).exclude(guest=None)
        senders += [Identity(guest=guest) for guest in as_guest.values_list("guest", flat=True).distinct()]
    same = Upload.objects.filter(key__in=[_digest(sender, key) for sender in senders])
    same.filter(expires_at__lte=timezone.now()).delete()
    upload = same.first()
    if upload and (upload.length, upload.metadata) != (length, metadata):
        raise Refused("idempotency_key_reused", "Another upload has this Idempotency-Key. Use a new one.")
    return upload


def on_sign_in(sender: Any, guest: UUID, user: User, **kwargs: Any) -> None:
    """Receiver of :data:`webapp.studies.services.takeover.taken_over`: give the guest's uploads to the user.

    The rows keep the guest, because the client continues with keys whose digests were computed with the guest.
    """
    Upload.objects.filter(user=None, guest=guest).update(user=user)


def on_deletion(sender: Any, ids: Collection[UUID], **kwargs: Any) -> None:
    """Receiver of :data:`webapp.studies.services.deletion.deleting`: delete the uploads that these were created from.

    Their metadata can name a patient. It is not known which upload added which image to a study, so all that were added
    to it go with one of its images.
    """
    studies = Image.objects.filter(pk__in=ids, study__isnull=False).values("study")
    Upload.objects.filter(Q(image__in=ids) | Q(study__in=ids) | Q(study__in=studies)).delete()


def find(identity: Identity, upload_id: UUID) -> Upload:
    """An upload of this identity.

    Raises:
        Http404: it does not exist, belongs to someone else, or has expired.
    """
    owner = {"user": identity.user} if identity.user else {"user": None, "guest": identity.guest}
    upload = Upload.objects.filter(pk=upload_id, expires_at__gt=timezone.now(), **owner).first()
    if upload is None or (identity.user is None and identity.guest is None):
        raise Http404
    return upload


def receive(identity: Identity, upload_id: UUID, part: Part) -> Upload:
    """Receive the next part. With the last one, create the image or study.

    The last part is acknowledged only after that. If the process dies in between, the client sends this part again, and
    gets what was created.

    Raises:
        Refused: ``wrong_offset``, ``file_too_large``, ``upload_busy``, ``checksum_mismatch``, or the reason why the
            whole file is refused, which is stored unless it is in :data:`TEMPORARY`.
        Http404: as in :func:`find`, or because the bytes received so far are lost.
    """
    try:
        with files.locked(find(identity, upload_id).pk) as file:
            upload = find(identity, upload_id)  # again, now that the file is locked
            _check(upload, part)
            if part.offset + part.size < upload.length:
                files.append(file, part.offset, part.body, part.size, part.checksum)
                _acknowledge(upload, part.offset + part.size)
            else:
                _finish(identity, upload, partial(_complete, identity, upload, file, part))
            return upload
    except files.Gone:
        upload = find(identity, upload_id)
        if upload.state == State.RECEIVING:
            upload.delete()
            logger.error("upload %s is lost: its file is gone or too short", upload_id)
            raise Http404 from None
        _check(upload, part)
        return upload


def _check(upload: Upload, part: Part) -> None:
    if upload.state == State.REFUSED:
        raise Refused(upload.error_code, upload.error_detail)
    if part.offset != upload.offset:
        raise Refused("wrong_offset", f"{upload.offset} bytes of this upload have arrived. Please continue from there.")
    if part.offset + part.size > upload.length:
        raise Refused("file_too_large", f"The upload was announced with {upload.length} bytes, but this is more.")


def _acknowledge(upload: Upload, offset: int, **changes: Any) -> None:
    upload.offset, upload.expires_at = offset, timezone.now() + KEEP_FOR
    for name, value in changes.items():
        setattr(upload, name, value)
    upload.save(update_fields=["offset", "expires_at", *changes])


def _finish(identity: Identity, upload: Upload, create_once: Callable[[IdempotencyKey], Any]) -> None:
    """Create the image or study only once, and store its key in the upload."""
    key = idempotency.key_named(f"resumable upload {upload.pk}")
    try:
        created: Image | Study = idempotency.once(key, partial(create_once, key))
    except Refused as refused:
        if refused.code in TEMPORARY or refused.code in ("checksum_mismatch", "malformed_request"):
            raise
        upload.state, upload.error_code, upload.error_detail = State.REFUSED, refused.code, refused.detail[:500]
        upload.save(update_fields=["state", "error_code", "error_detail"])
        files.delete(upload.pk)
        logger.info("upload %s refused: %s", upload.pk, refused.code)
        raise
    if isinstance(created, Image):
        earlier = Image.objects.sent_before(created).values_list("pk", flat=True)[:1]
        report: dict[str, Any] = {"duplicates": [(created.filename, str(pk)) for pk in earlier]}
        target = {"image": created.pk}
    else:
        sent_before = [(name, str(pk)) for name, pk in created.duplicates]
        report = {"skipped": list(created.skipped), "refused": list(created.refused), "duplicates": sent_before}
        target = {"study": created.pk}
    _acknowledge(upload, upload.length, state=State.FINISHED, report=report, **target)
    files.delete(upload.pk)
    logger.info("upload %s is whole", upload.pk)


def _complete(identity: Identity, upload: Upload, file: IO[bytes], part: Part, key: IdempotencyKey) -> Image | Study:
    files.append(file, part.offset, part.body, part.size, part.checksum)
    metadata, whole = upload.given, files.Received(file, upload.given["filename"])
    images = {"age": metadata.get("age"), "view": metadata.get("view") or ""}
    if metadata.get("study"):
        try:
            study = visible_study(identity, UUID(metadata["study"]), permissions.may_add_to)
        except Http404:
            raise Refused("study_gone", "The study of this upload no longer exists.") from None
        return uploads.add_to_study(identity, study, [whole], **images, key=key)
    common: dict[str, Any] = {
        **images, "patient": metadata.get("patient") or "", "stat": bool(metadata.get("stat")), "key": key,
        "department": department_for(identity, metadata["department"]),
    }  # fmt: skip
    if metadata.get("study_name") or signatures.is_zip(whole):
        return uploads.create_study(identity, [whole], name=metadata.get("study_name") or "", **common)
    comment = metadata.get("comment") or ""
    return uploads.create_image(identity, whole, filename=metadata["filename"], comment=comment, **common)


def terminate(identity: Identity, upload_id: UUID) -> None:
    """Cancel an upload. What was created from a finished upload is kept."""
    upload = find(identity, upload_id)
    try:
        with files.locked(upload.pk):
            files.delete(upload.pk)
    except files.Gone:
        pass
    upload.delete()
    logger.info("upload %s given up", upload.pk)


def delete_expired() -> int:
    """Delete expired uploads, and files that no upload needs. Return the number of deleted uploads."""
    expired = Upload.objects.filter(expires_at__lte=timezone.now())
    deleted = 0
    while ids := list(expired.values_list("pk", flat=True)[:CHUNK]):
        deleted += Upload.objects.filter(pk__in=ids).delete()[0]
        for pk in ids:
            files.delete(pk)
    for pk, path in files.orphan_candidates():
        if not Upload.objects.filter(pk=pk, state=State.RECEIVING).exists():
            path.unlink(missing_ok=True)
    return deleted
