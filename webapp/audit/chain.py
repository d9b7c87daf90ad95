"""The hash chain of the audit: each entry's keyed hash covers the entry and the hash before it.

Entries are written without a hash, so that no request waits for another one. Beat seals them every few seconds. An
entry that is committed late gets a later position. Positions have no gaps, unlike ids. The hash needs the service's
key, so that access to the database alone is not enough to forge a chain. The chain itself cannot show that its newest
entries and their row in :class:`Chain` were lost together, for example by restoring an old copy. So the head is logged
every day.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from webapp.audit.models import Chain, Entry

logger = logging.getLogger(__name__)

#: Number of entries that are sealed, or deleted, in one transaction.
CHUNK = 500
#: If an entry waits longer than this, sealing has stopped.
PATIENCE = timedelta(minutes=1)
#: Errors that Django raises for a value that its column cannot have. SQLite stores any text in any column.
UNREADABLE = (AttributeError, TypeError, ValueError)


def seal() -> int:
    """Seal all waiting entries.

    Returns:
        The number of sealed entries.
    """
    sealed = 0
    while Entry.objects.filter(position=None).exists():
        sealed += _seal_chunk()
    return sealed


@transaction.atomic
def _seal_chunk() -> int:
    chain = _locked()
    entries = list(Entry.objects.filter(position=None).order_by("pk")[:CHUNK])
    key = keys()[0]
    for entry in entries:
        chain.head += 1
        entry.position = chain.head
        entry.hash = chain.head_hash = digest(key, chain.head_hash, entry)
    Entry.objects.bulk_update(entries, ["position", "hash"], batch_size=100)
    now = timezone.now()
    if now.date() != chain.sealed_at.date() or chain.head == len(entries):
        logger.info("audit: sealed up to %d with the hash %s", chain.head, chain.head_hash)
    chain.sealed_at = now
    _save(chain)
    return len(entries)


@transaction.atomic
def _forget_chunk(before: datetime) -> int:
    chain = _locked()
    old: list[Entry] = []
    for entry in Entry.objects.filter(position__gt=chain.base).order_by("position")[:CHUNK]:
        if entry.created_at >= before:
            break
        old.append(entry)
    if old:
        chain.base, chain.base_hash = old[-1].position or 0, old[-1].hash
        _save(chain)
        Entry.objects.filter(pk__in=[entry.pk for entry in old]).delete()
    return len(old)


def forget(days: int) -> int:
    """Delete sealed entries older than this many days. The rest can still be verified.

    Returns:
        The number of deleted entries.
    """
    deleted, before = 0, timezone.now() - timedelta(days=days)
    while number := _forget_chunk(before):
        deleted += number
    return deleted


def verify() -> tuple[Chain, list[str]]:
    """Compare every entry with the chain.

    Returns:
        The chain's ends and a list of problems, among them the first entry that was changed or deleted.
    """
    # Read this before the chain, which may grow meanwhile.
    highest = Entry.objects.aggregate(highest=Max("position"))["highest"] or 0
    chain = Chain.objects.filter(pk=1).first()
    if chain is None:
        waiting = _waiting_too_long()
        return Chain(), waiting + ([f"entry {highest} is sealed, and the chain has no beginning"] if highest else [])
    if chain.key_check not in map(_check_of, keys()):
        return chain, ["the chain was sealed with another key: see AUDIT_KEY and SECRET_KEY"]
    problems = []
    if chain.mac not in (_mac(key, chain) for key in keys()):
        problems.append("the row that holds the chain's ends was changed")
    if wrong := _first_wrong(chain):
        problems.append(wrong)
    if highest > chain.head:
        problems.append(f"entry {highest} stands behind the chain's end, which is {chain.head}")
    if Entry.objects.filter(position__lte=chain.base).exists():
        problems.append(f"there are entries before the chain's beginning, which is {chain.base + 1}")
    return chain, problems + _waiting_too_long()


def _first_wrong(chain: Chain) -> str:
    position, previous = chain.base, chain.base_hash
    for entry in _sealed(chain):
        position += 1
        if isinstance(entry, int):
            return f"entry {entry} cannot be read"
        if entry.position != position:
            return f"entry {position} is missing"
        if not _fits(entry, previous):
            return f"entry {position} (id {entry.pk}) was changed"
        previous = entry.hash
    if position != chain.head:
        return f"entry {position + 1} is missing"
    return "" if previous == chain.head_hash else f"entry {position} was changed: it is not the chain's end"


def _fits(entry: Entry, previous: str) -> bool:
    try:
        return entry.hash in (digest(key, previous, entry) for key in keys())
    except UNREADABLE:
        return False


def _sealed(chain: Chain) -> Iterator[Entry | int]:
    """The sealed entries in order. If one cannot be read, yield its position instead, and stop."""
    last = chain.base
    while last < chain.head:
        rows = Entry.objects.filter(position__gt=last, position__lte=chain.head).order_by("position")
        try:
            entries = list(rows[:CHUNK])
        except UNREADABLE:
            for position in rows.values_list("position", flat=True)[:CHUNK]:
                try:
                    yield Entry.objects.get(position=position)
                except UNREADABLE:
                    yield position or 0
                    return
            return
        if not entries:
            return
        yield from entries
        last = entries[-1].position or 0


def _waiting_too_long() -> list[str]:
    late = Entry.objects.filter(position=None, created_at__lt=timezone.now() - PATIENCE).count()
    return [f"{late} entries have waited to be sealed for more than a minute: is beat running?"] if late else []


def keys() -> list[bytes]:
    """The current key, and the keys with which earlier entries may have been sealed."""
    secrets = [settings.AUDIT_KEY or settings.SECRET_KEY, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [hashlib.sha256(b"pneumoqueue.audit:" + secret.encode()).digest() for secret in dict.fromkeys(secrets)]


def digest(key: bytes, previous: str, entry: Entry) -> str:
    """An entry's hash, which covers the previous entry's hash."""
    return _hmac(
        key, previous, entry.position, entry.pk, entry.created_at.astimezone(UTC).isoformat(), entry.action,
        entry.person_id, entry.person, entry.guest, entry.address, entry.token, entry.kind, entry.object_id,
        entry.department_id, entry.details, entry.request_id,
    )  # fmt: skip


def _hmac(key: bytes, *values: Any) -> str:
    return hmac.new(key, json.dumps(values).encode(), hashlib.sha256).hexdigest()


def _check_of(key: bytes) -> str:
    return _hmac(key, "key")


def _mac(key: bytes, chain: Chain) -> str:
    return _hmac(key, "chain", chain.head, chain.head_hash, chain.base, chain.base_hash)


def _locked() -> Chain:
    Chain.objects.get_or_create(pk=1)
    return Chain.objects.select_for_update().get(pk=1)


def _save(chain: Chain) -> None:
    key = keys()[0]
    chain.key_check, chain.mac = _check_of(key), _mac(key, chain)
    chain.save()
