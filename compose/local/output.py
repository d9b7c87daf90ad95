"""One log: what all programs write, a line at a time, each line with its program's name before it."""

import os
import selectors
from collections.abc import Iterable, Mapping
from typing import BinaryIO

CHUNK = 65536
#: Longest line, in bytes, that is kept whole.
LONGEST_LINE = 1 << 20


def merge(inputs: Mapping[int, str], target: BinaryIO) -> None:
    """Copy lines until every input has ended.

    Args:
        inputs: for each file descriptor to read, what to put before its lines. Closed at its end.
        target: where the lines go. When it takes no more (its reader is gone, the terminal closed, the disk full) the
            inputs are still read, so that no program blocks.
    """
    partial = dict.fromkeys(inputs, b"")
    with selectors.DefaultSelector() as selector:
        for source in inputs:
            selector.register(source, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                chunk = os.read(key.fd, CHUNK)
                *lines, rest = (partial[key.fd] + chunk).split(b"\n")
                if rest and (not chunk or len(rest) > LONGEST_LINE):
                    lines, rest = [*lines, rest], b""
                partial[key.fd] = rest
                _write(target, inputs[key.fd].encode(), lines)
                if not chunk:
                    selector.unregister(key.fd)
                    os.close(key.fd)


def _write(target: BinaryIO, prefix: bytes, lines: Iterable[bytes]) -> None:
    try:
        target.write(b"".join(prefix + line + b"\n" for line in lines))
        target.flush()
    except OSError:
        pass
