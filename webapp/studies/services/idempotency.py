"""A request that is sent twice with the same ``Idempotency-Key`` makes one job.

The key's row is written in the job's own transaction. Of two requests at once the database refuses the later one, which
then answers with the job of the first.
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
#: Until then the same key gives the same job.
KEPT = timedelta(hours=24)


def key_of(
    identity: Identity, key: str, path: str, fields: Mapping[str, Any], files: Sequence[File]
) -> IdempotencyKey | None:
    """The unsaved row of a request's key; None without a key.

    Args:
        identity: who sends it. Each identity has its own keys.
        key: as the client chose it.
        path: where it was sent.
        fields: the form's other fields.
        files: in their order.
    """
    if not key:
        return None
    content = [path, dict(fields), [(file.name, content_hash(file)) for file in files]]
    return IdempotencyKey(
        digest=digest_of(identity, key), fingerprint=_hash(json.dumps(content, sort_keys=True, default=str))
    )


def key_named(name: str) -> IdempotencyKey:
    """The unsaved row of a job that the service itself makes once."""
    return IdempotencyKey(digest=_hash(name), fingerprint=_hash(name))


def digest_of(identity: Identity, key: str) -> str:
    """What a client's key is kept as. Each identity has its own keys."""
    sender = f"user {identity.user.pk}" if identity.user else f"guest {identity.guest}"
    return _hash(f"{sender} {key}")


def once(key: IdempotencyKey | None, make: Callable[[], Job]) -> Job:
    """Make a job, unless the same request has made it before.

    Args:
        key: from :func:`key_of`.
        make: makes the job and calls :func:`keep` in the same transaction.

    Raises:
        Refused: ``idempotency_key_reused`` where another request had the key.
    """
    if key is None:
        return make()
    made: Job | None = _job(key)
    if made:
        return made
    try:
        return make()
    except IntegrityError:
        made = _job(key)
        if made:
            return made
        raise


def keep(key: IdempotencyKey | None, job: Image | Study) -> None:
    """Write the key's row, in the transaction that makes the job.

    Raises:
        IntegrityError: another request with the key was faster.
    """
    if key is None:
        return
    IdempotencyKey.objects.filter(digest=key.digest, created_at__lte=timezone.now() - KEPT).delete()
    key.image, key.study = (job, None) if isinstance(job, Image) else (None, job)
    key.save(force_insert=True)


def delete_old() -> int:
    """Remove keys that are no longer looked at.

    Returns:
        How many were removed.
    """
    return IdempotencyKey.objects.filter(created_at__lte=timezone.now() - KEPT).delete()[0]


def _job(key: IdempotencyKey) -> Any:
    recent = IdempotencyKey.objects.filter(digest=key.digest, created_at__gt=timezone.now() - KEPT)
    kept = recent.select_related("image__patient", "image__department", "study__patient", "study__department").first()
    if kept is None:
        return None
    if kept.fingerprint != key.fingerprint:
        raise Refused("idempotency_key_reused", "Another request was sent with this Idempotency-Key. Use a new one.")
    return kept.image or kept.study


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
