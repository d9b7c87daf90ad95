"""A request that is sent twice with the same ``Idempotency-Key`` creates one job: an image or a study.

The key's row is written in the transaction that creates the job. If two requests arrive at once, the database refuses
the later one, which then returns the job of the first.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from django.core.files import File
from django.db import IntegrityError
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.refusals import Refused
from webapp.studies.files.hashes import content_hash
from webapp.studies.models import IdempotencyKey, Image, Study

Job = TypeVar("Job", Image, Study)

HEADER = "Idempotency-Key"
#: How long the same key returns the same job.
KEPT = timedelta(hours=24)


def key_of(
    identity: Identity, key: str, path: str, fields: Mapping[str, Any], files: Sequence[File]
) -> IdempotencyKey | None:
    """Return the unsaved row for a request's key; None without a key.

    Args:
        identity: the sender. Each identity has its own keys.
        key: the key that the client chose.
        path: the URL path of the request.
        fields: the form's other fields.
        files: the files in the order of the request.
    """
    if not key:
        return None
    content = [path, dict(fields), [(file.name, content_hash(file)) for file in files]]
    return IdempotencyKey(
        digest=digest_of(identity, key), fingerprint=_hash(json.dumps(content, sort_keys=True, default=str))
    )


def key_named(name: str) -> IdempotencyKey:
    """Return the unsaved row for a job that the service itself creates only once."""
    return IdempotencyKey(digest=_hash(name), fingerprint=_hash(name))


def digest_of(identity: Identity, key: str) -> str:
    """Return the digest that is stored for a client's key. Each identity has its own keys."""
    sender = f"user {identity.user.pk}" if identity.user else f"guest {identity.guest}"
    return _hash(f"{sender} {key}")


def once(key: IdempotencyKey | None, make: Callable[[], Job]) -> Job:
    """Create a job, or return the one that the same request has created before.

    Args:
        key: from :func:`key_of`.
        make: creates the job and calls :func:`keep` in the same transaction.

    Raises:
        Refused: ``idempotency_key_reused`` if a different request had the key.
    """
    if key is None:
        return make()
    job: Job | None = _job(key)
    if job:
        return job
    try:
        return make()
    except IntegrityError:
        job = _job(key)
        if job:
            return job
        raise


def keep(key: IdempotencyKey | None, job: Image | Study) -> None:
    """Write the key's row, in the transaction that creates the job.

    Raises:
        IntegrityError: another request with the same key was faster.
    """
    if key is None:
        return
    IdempotencyKey.objects.filter(digest=key.digest, created_at__lte=timezone.now() - KEPT).delete()
    key.image, key.study = (job, None) if isinstance(job, Image) else (None, job)
    key.save(force_insert=True)


def delete_old() -> int:
    """Delete expired keys. Return their number."""
    return IdempotencyKey.objects.filter(created_at__lte=timezone.now() - KEPT).delete()[0]


def _job(key: IdempotencyKey) -> Any:
    recent = IdempotencyKey.objects.filter(digest=key.digest, created_at__gt=timezone.now() - KEPT)
    row = recent.select_related("image__patient", "image__department", "study__patient", "study__department").first()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint:
        raise Refused("idempotency_key_reused", "Another request was sent with this Idempotency-Key. Use a new one.")
    return row.image or row.study


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
