"""Limits on uploads to one study and in one day."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, time, timedelta

from django.conf import settings
from django.core.cache import cache, caches
from django.db.models import Count, Sum
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.refusals import Refused
from webapp.studies.models import Archive, Study

DAY = timedelta(days=1)


def content(study: Study) -> tuple[int, int]:
    """Return the number of a study's files, including those in ZIPs, and the number of their bytes, unpacked.

    What remains of a ZIP that is being unpacked is estimated by the mean size of its files.
    """
    present = study.images.aggregate(files=Count("pk"), size=Sum("size", default=0))
    files, size = present["files"], present["size"]
    pending = study.archives.filter(state__in=Archive.PENDING)
    for total, unpacked, packed_size in pending.values_list("total", "unpacked", "size"):
        files += total - unpacked
        size += packed_size * (total - unpacked) // (total or 1)
    return files, size


def content_lately(study: Study) -> tuple[int, int]:
    """Return :func:`content` as of at most a second ago. A study's images must all be counted for it."""
    counts: tuple[int, int] | None = caches["process"].get_or_set(f"content:{study.pk}", lambda: content(study))
    return counts or (0, 0)


def check_study(study: Study, files: int, size: int, present: tuple[int, int] | None = None) -> None:
    """Refuse an upload that would make a study too large.

    Args:
        study: the study, saved or not.
        files: the number of files to add, including those in ZIPs.
        size: the size of these files in bytes, unpacked.
        present: the study's present content; None to count it.

    Raises:
        Refused: ``too_many_files`` or ``study_too_large``.
    """
    before = present or content(study)
    files, size = files + before[0], size + before[1]
    if files > settings.MAX_STUDY_FILES:
        raise Refused(
            "too_many_files",
            f"A study may have {settings.MAX_STUDY_FILES} files, including those in ZIPs. These are {files}. Please "
            "send it in parts.",
        )
    if size > settings.MAX_STUDY_BYTES:
        raise Refused(
            "study_too_large",
            f"A study may have {_readable(settings.MAX_STUDY_BYTES)}, ZIPs unpacked; this one has {_readable(size)}. "
            "Please send it in parts.",
        )


@contextmanager
def count_upload(identity: Identity, department: Department | None, files: int, size: int) -> Iterator[None]:
    """Count an upload, unless the block that stores it raises. Administrators have no limit.

    The counts are in the cache, like the counts of requests: Redis may lose them, and without Redis each process has
    its own.

    Args:
        identity: the sender.
        department: the department that will own the upload.
        files: the number of images, including those in ZIPs.
        size: the size of these images in bytes, unpacked.

    Raises:
        Refused: ``daily_limit_reached``.
    """
    if permissions.is_administrator(identity.user):
        yield
        return
    limit = settings.USER_DAILY_BYTES if identity.user else settings.GUEST_DAILY_BYTES
    message = f"At most {_readable(limit)} can be uploaded in a day."
    with _counted(f"bytes:{_uploader(identity)}", size, limit, message), count_sent_to(department, files, size):
        yield


@contextmanager
def count_sent_to(department: Department | None, files: int, size: int) -> Iterator[None]:
    """Count an upload for its department's limits, unless the block that stores it raises.

    Raises:
        Refused: ``daily_limit_reached``.
    """
    with ExitStack() as counted:
        if department and department.daily_bytes is not None:
            message = f"At most {_readable(department.daily_bytes)} can be sent to {department} in a day."
            key = f"bytes:department:{department.pk}"
            counted.enter_context(_counted(key, size, department.daily_bytes, message))
        if department and department.daily_images is not None:
            message = f"At most {department.daily_images} images can be sent to {department} in a day."
            key = f"images:department:{department.pk}"
            counted.enter_context(_counted(key, files, department.daily_images, message))
        yield


@contextmanager
def count_announced(identity: Identity, size: int) -> Iterator[None]:
    """Count a file that will arrive in several requests, unless the block raises.

    The file counts as an upload once it is complete.

    Raises:
        Refused: ``daily_limit_reached`` if the sender has announced more today than may be uploaded in a day.
    """
    if permissions.is_administrator(identity.user):
        yield
        return
    limit = settings.USER_DAILY_BYTES if identity.user else settings.GUEST_DAILY_BYTES
    with _counted(f"announced:{_uploader(identity)}", size, limit, f"At most {_readable(limit)} can be sent in a day."):
        yield


@contextmanager
def _counted(name: str, number: int, limit: int, message: str) -> Iterator[None]:
    """Add to today's count, unless this makes it too large or the block raises."""
    now = timezone.now()
    key = f"{now:%Y-%m-%d}:{name}"
    if _add(key, number) > limit:
        _add(key, -number)
        raise Refused(
            "daily_limit_reached",
            f"{message} Please continue after midnight UTC.",
            retry_after=(datetime.combine(now + DAY, time(), UTC) - now).total_seconds(),
        )
    try:
        yield
    except BaseException:
        _add(key, -number)
        raise


def _add(key: str, size: int) -> int:
    """Add to a count that expires with its day. Return the sum, or 0 if the cache is unreachable."""
    for _ in range(2):
        try:
            return int(cache.incr(key, size) or 0)
        except ValueError:  # there is no count for this day yet
            cache.add(key, 0, timeout=DAY.total_seconds())
    return 0


def _uploader(identity: Identity) -> str:
    """Return the key of the uploader. Guests are counted by address, as deleting the cookie makes a new guest."""
    return f"user:{identity.user.pk}" if identity.user else f"guest:{identity.address or identity.guest}"


def _readable(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"
