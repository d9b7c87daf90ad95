"""The names of the queues, as the programs that start workers and those that send messages know them."""

from collections.abc import Iterable

#: The queue of ZIPs. It is separate, so that its length is the number of their messages.
UNPACK = "unpack"


def every(shadows: Iterable[str] = ()) -> list[str]:
    """All queues, with those of second models that are named in full."""
    named = ("control", "deliver", "infer.interactive", "infer.bulk", "ingest.interactive", "ingest.bulk", UNPACK)
    return [*named, *(f"infer.shadow.{bundle}" for bundle in shadows)]
