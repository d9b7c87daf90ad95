"""The names of the queues, as the programs that start workers and those that send messages know them."""

from collections.abc import Iterable

#: Bulk messages are spread by their owners over so many queues, from which workers take in turns. What one has sent
#: holds up only those who are in the same queue by chance, which changes each day (stochastic fair queueing).
SPLIT_INTO = 8
#: The queue of ZIPs. It is separate, so that its length is the number of their messages.
UNPACK = "unpack"
#: The queues that are split.
SPLIT = (UNPACK, "ingest.bulk")


def split(queue: str) -> list[str]:
    """The queues that the messages of a bulk queue are spread into."""
    return [queue, *(f"{queue}.{number}" for number in range(1, SPLIT_INTO))]


def every(shadows: Iterable[str] = ()) -> list[str]:
    """All queues, with those of second models that are named in full."""
    bulk = [part for queue in SPLIT for part in split(queue)]
    named = ("control", "deliver", "infer.interactive", "infer.bulk", "ingest.interactive")
    return [*named, *bulk, *(f"infer.shadow.{bundle}" for bundle in shadows)]
