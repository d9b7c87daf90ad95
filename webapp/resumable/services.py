"""Begin, continue and end uploads. A whole file goes the way of every other: :mod:`webapp.studies.services.uploads`."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import IO, Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
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

#: After its last part an upload is kept so long.
KEPT = timedelta(hours=24)
#: What is refused for these reasons may be taken later, as it is.
PASSING = ("daily_limit_reached", "not_accepting")
CHUNK = 500


@dataclass(frozen=True)
class Part:
    """Bytes of a file, as a request brings them; see :func:`webapp.resumable.files.append`."""

    offset: int
    body: IO[bytes]
    size: int
    checksum: tuple[str, bytes] | None = None


def create(identity: Identity, length: int, metadata: str, given: dict[str, Any], key: str = "") -> Upload:
    """Begin an upload, unless the same sender has begun it under the same key.

    Args:
        identity: who sends it.
        length: bytes of the whole file.
        metadata: as the client sent it.
        given: what it says: ``filename``, ``study``, ``study_name``, ``department``, and what is said of images.
        key: the client's own name for the upload.

    Raises:
        Refused: ``idempotency_key_reused``, ``daily_limit_reached``, or where the sender may not send it there.
        Http404: the study does not exist for them.
    """
    if key and (begun := _begun(identity, key, length, metadata)):
        return begun
    if study := given.get("study"):
        visible_study(identity, UUID(study), permissions.may_add_to)
    else:
        department = department_for(identity, given.get("department"))
        given = {**given, "department": department.slug if department else ""}
    upload = Upload(
        user=identity.user, guest=None if identity.user else identity.guest, length=length, metadata=metadata,
        key=_digest(identity, key) if key else None, given=given, expires_at=timezone.now() + KEPT,
    )  # fmt: skip
    with limits.count_announced(identity, length):
        files.make(upload.pk)
        try:
            with transaction.atomic():
                upload.save(force_insert=True)
        except IntegrityError:
            files.delete(upload.pk)
            if key and (begun := _begun(identity, key, length, metadata)):
                return begun
            raise
    logger.info("upload %s of %d bytes begins", upload.pk, length)
    return upload


def _digest(identity: Identity, key: str) -> str:
    return idempotency.digest_of(identity, f"resumable {key}")


def _begun(identity: Identity, key: str, length: int, metadata: str) -> Upload | None:
    senders = [identity]
    if identity.user:
        before = Upload.objects.filter(user=identity.user).exclude(guest=None)
        senders += [Identity(guest=guest) for guest in before.values_list("guest", flat=True).distinct()]
    same = Upload.objects.filter(key__in=[_digest(sender, key) for sender in senders])
    same.filter(expires_at__lte=timezone.now()).delete()
    found = same.first()
    if found and (found.length, found.metadata) != (length, metadata):
        raise Refused("idempotency_key_reused", "Another upload has this Idempotency-Key. Use a new one.")
    return found


def on_sign_in(sender: Any, guest: UUID, user: User, **kwargs: Any) -> None:
    """Receiver of :data:`webapp.studies.services.takeover.taken_over`: what the guest was sending is the user's.

    The rows keep the guest, under whom the client's keys were kept: it goes on by the same ones.
    """
    Upload.objects.filter(user=None, guest=guest).update(user=user)


def find(identity: Identity, upload_id: UUID) -> Upload:
    """An upload of the identity's own.

    Raises:
        Http404: there is none, or it has expired.
    """
    mine = {"user": identity.user} if identity.user else {"user": None, "guest": identity.guest}
    upload = Upload.objects.filter(pk=upload_id, expires_at__gt=timezone.now(), **mine).first()
    if upload is None or (identity.user is None and identity.guest is None):
        raise Http404
    return upload


def receive(identity: Identity, upload_id: UUID, part: Part) -> Upload:
    """Take the next part; with the last one the image or study is made.

    The last part is only acknowledged together with that. If the process dies in between, the client sends that part
    again, and finds what was made.

    Raises:
        Refused: ``wrong_offset``, ``file_too_large``, ``upload_busy``, ``checksum_mismatch``, or what the whole file is
            refused with, which is kept unless it passes.
        Http404: as of :func:`find`, or where what has come is lost.
    """
    try:
        with files.locked(find(identity, upload_id).pk) as file:
            upload = find(identity, upload_id)  # as it is now
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
        raise Refused("wrong_offset", f"{upload.offset} bytes of this upload have come; go on from there.")
    if part.offset + part.size > upload.length:
        raise Refused("file_too_large", f"The upload was announced with {upload.length} bytes, and this is more.")


def _acknowledge(upload: Upload, offset: int, **changes: Any) -> None:
    upload.offset, upload.expires_at = offset, timezone.now() + KEPT
    for name, value in changes.items():
        setattr(upload, name, value)
    upload.save(update_fields=["offset", "expires_at", *changes])


def _finish(identity: Identity, upload: Upload, make: Callable[[IdempotencyKey], Any]) -> None:
    """Make the image or study, once, and remember which."""
    key = idempotency.key_named(f"resumable upload {upload.pk}")
    try:
        made: Image | Study = idempotency.once(key, partial(make, key))
    except Refused as refused:
        if refused.code in PASSING or refused.code in ("checksum_mismatch", "malformed_request"):
            raise
        upload.state, upload.error_code, upload.error_detail = State.REFUSED, refused.code, refused.detail[:500]
        upload.save(update_fields=["state", "error_code", "error_detail"])
        files.delete(upload.pk)
        logger.info("upload %s refused: %s", upload.pk, refused.code)
        raise
    if isinstance(made, Image):
        before = Image.objects.sent_before(made).values_list("pk", flat=True)[:1]
        report: dict[str, Any] = {"duplicates": [(made.filename, str(pk)) for pk in before]}
        where = {"image": made.pk}
    else:
        sent_before = [(name, str(pk)) for name, pk in made.duplicates]
        report = {"skipped": list(made.skipped), "refused": list(made.refused), "duplicates": sent_before}
        where = {"study": made.pk}
    _acknowledge(upload, upload.length, state=State.FINISHED, report=report, **where)
    files.delete(upload.pk)
    logger.info("upload %s is whole", upload.pk)


def _complete(identity: Identity, upload: Upload, file: IO[bytes], part: Part, key: IdempotencyKey) -> Image | Study:
    files.append(file, part.offset, part.body, part.size, part.checksum)
    given, whole = upload.given, files.Received(file, upload.given["filename"])
    images = {"age": given.get("age"), "view": given.get("view") or ""}
    if given.get("study"):
        try:
            study = visible_study(identity, UUID(given["study"]), permissions.may_add_to)
        except Http404:
            raise Refused("study_gone", "The study that this was for does not exist any more.") from None
        return uploads.add_to_study(identity, study, [whole], **images, key=key)
    common: dict[str, Any] = {
        **images, "patient": given.get("patient") or "", "stat": bool(given.get("stat")), "key": key,
        "department": department_for(identity, given["department"]),
    }  # fmt: skip
    if given.get("study_name") or signatures.is_zip(whole):
        return uploads.create_study(identity, [whole], name=given.get("study_name") or "", **common)
    comment = given.get("comment") or ""
    return uploads.create_image(identity, whole, filename=given["filename"], comment=comment, **common)


def terminate(identity: Identity, upload_id: UUID) -> None:
    """Give an upload up. What was made of one that is finished stays."""
    upload = find(identity, upload_id)
    try:
        with files.locked(upload.pk):
            files.delete(upload.pk)
    except files.Gone:
        pass
    upload.delete()
    logger.info("upload %s given up", upload.pk)


def delete_expired() -> int:
    """Delete uploads that have ended or were given up, and files that no upload needs; how many uploads these were."""
    expired = Upload.objects.filter(expires_at__lte=timezone.now())
    deleted = 0
    while ids := list(expired.values_list("pk", flat=True)[:CHUNK]):
        deleted += Upload.objects.filter(pk__in=ids).delete()[0]
        for pk in ids:
            files.delete(pk)
    for pk, path in files.left_behind():
        if not Upload.objects.filter(pk=pk, state=State.RECEIVING).exists():
            path.unlink(missing_ok=True)
    return deleted
