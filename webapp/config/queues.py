"""The names of the queues, for programs that start workers and for those that send messages."""

from collections.abc import Iterable

#: The queue of ZIPs. It is separate, so that its length is the number of messages for ZIPs.
UNPACK = "unpack"


def every(shadows: Iterable[str] = ()) -> list[str]:
    """All queues, including those of shadow models, which have to be given by their full names."""
    fixed = ("control", "deliver", "infer.interactive", "infer.bulk", "ingest.interactive", "ingest.bulk", UNPACK)
    return [*fixed, *(f"infer.shadow.{bundle}" for bundle in shadows)]
