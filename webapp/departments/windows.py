"""The hours in which a department's bulk images are read."""

from datetime import UTC, datetime, time, timedelta

from django.utils import timezone


def opens_at(start: time | None, end: time | None, now: datetime) -> datetime | None:
    """The next time at which a daily window opens. Its hours are in ``TIME_ZONE``.

    Args:
        start: start of the window; None for no window, which is always open.
        end: end of the window; earlier than the start for a window past midnight.
        now: the time from which to look.

    Returns:
        None if the window is open.
    """
    if start is None or end is None or start == end:
        return None
    local = timezone.localtime(now)
    clock = local.time()
    if (start <= clock < end) if start < end else (clock >= start or clock < end):
        return None
    day = local.date() if clock < start else local.date() + timedelta(days=1)
    return timezone.make_aware(datetime.combine(day, start)).astimezone(UTC)
