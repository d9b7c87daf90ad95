"""How much may be uploaded: in one study, and in one day."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, F, Sum
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.studies.models import Archive, Study

DAY = timedelta(days=1)


def check_study(study: Study, files: int, size: int) -> None:
    """Refuse what would make a study too large.

    Args:
        study: saved or not.
        files: that are to be added, those in ZIPs included.
        size: of all of them in bytes, unpacked.
    """
    present = study.images.aggregate(files=Count("pk"), size=Sum("size", default=0))
    packed = study.archives.filter(state__in=Archive.PENDING).aggregate(
        files=Sum(F("total") - F("unpacked"), default=0)
    )
    files += present["files"] + packed["files"]
    size += present["size"]
    if files > settings.MAX_STUDY_FILES:
        raise Refused(
            "too_many_files",
            f"A study may have {settings.MAX_STUDY_FILES} files, those in ZIPs included; these are {files}. "
            "Please send it in parts.",
        )
    if size > settings.MAX_STUDY_BYTES:
        raise Refused(
            "study_too_large",
            f"A study may have {_readable(settings.MAX_STUDY_BYTES)}, ZIPs unpacked; this one has {_readable(size)}. "
            "Please send it in parts.",
        )


@contextmanager
def daily_bytes(identity: Identity, size: int) -> Iterator[None]:
    """Count an upload, unless the block that stores it raises. Administrators have no limit.

    The count is in the cache, as that of requests is: Redis may lose it, and without Redis each process has its own.

    Raises:
        Refused: ``daily_limit_reached``.
    """
    if permissions.is_administrator(identity.user):
        yield
        return
    limit = settings.USER_DAILY_BYTES if identity.user else settings.GUEST_DAILY_BYTES
    now = timezone.now()
    key = f"bytes:{now:%Y-%m-%d}:{_uploader(identity)}"
    if _add(key, size) > limit:
        _add(key, -size)
        raise Refused(
            "daily_limit_reached",
            f"At most {_readable(limit)} can be uploaded in a day. Please go on after midnight UTC.",
            retry_after=(datetime.combine(now + DAY, time(), UTC) - now).total_seconds(),
        )
    try:
        yield
    except BaseException:
        _add(key, -size)
        raise


def _add(key: str, size: int) -> int:
    """Add to a count that ends with its day; the sum, or 0 where the cache is unreachable."""
    cache.add(key, 0, timeout=DAY.total_seconds())
    try:
        return int(cache.incr(key, size) or 0)
    except ValueError:  # it has just ended
        return 0


def _uploader(identity: Identity) -> str:
    """Whose bytes are counted. A guest becomes another one by dropping a cookie, and keeps the address."""
    return f"user:{identity.user.pk}" if identity.user else f"guest:{identity.address or identity.guest}"


def _readable(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"
