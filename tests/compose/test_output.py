"""One log out of many outputs."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from compose.local import output


@contextmanager
def merging(target: Any, *prefixes: str) -> Iterator[list[int]]:
    """Merge in another thread; the ends to write to. All must be closed when the block is left."""
    pipes = [os.pipe() for _ in prefixes]
    inputs = {read_end: prefix for (read_end, _), prefix in zip(pipes, prefixes, strict=True)}
    failures: list[BaseException] = []

    def run() -> None:
        try:
            output.merge(inputs, target)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield [write_end for _, write_end in pipes]
    thread.join(10)
    assert not thread.is_alive(), "the end of all inputs is not the end of merging"
    if failures:
        raise failures[0]


def test_each_line_is_marked_with_its_program() -> None:
    target = io.BytesIO()
    with merging(target, "web   | ", "infer | ") as (web, infer):
        os.write(web, b"one\ntwo\n")
        os.write(infer, b"three\n")
        os.close(web)
        os.close(infer)
    lines = target.getvalue().decode().splitlines()
    assert sorted(lines) == ["infer | three", "web   | one", "web   | two"]
    assert lines.index("web   | one") < lines.index("web   | two")


def test_lines_that_come_in_parts_are_kept_whole() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as shown, open(write_end, "wb") as target, merging(target, "a ", "b ") as (a, b):  # noqa: PTH123
        os.write(a, b"begin")
        os.write(b, b"between\n")
        assert shown.readline() == b"b between\n"
        os.write(a, b"ning\nrest")
        assert shown.readline() == b"a beginning\n"
        os.close(b)
        os.close(a)
        assert shown.readline() == b"a rest\n"


def test_empty_lines_stay_and_no_prefix_is_none() -> None:
    target = io.BytesIO()
    with merging(target, "") as (only,):
        os.write(only, b"\n\nready http://127.0.0.1:8000\n")
        os.close(only)
    assert target.getvalue() == b"\n\nready http://127.0.0.1:8000\n"


def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LONGEST_LINE", 1000)
    monkeypatch.setattr(output, "CHUNK", 400)
    target = io.BytesIO()
    with merging(target, "> ") as (only,):
        for _ in range(50):
            os.write(only, b"x" * 100)
        os.close(only)
    lines = target.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 2 + 1000 + 400
    assert sum(line.count(b"x") for line in lines) == 5000


def test_the_inputs_are_closed() -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    output.merge({read_end: ""}, io.BytesIO())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read_end)


def flood(write_end: int) -> None:
    """More than a pipe holds: a program would block here if nobody read."""
    for _ in range(200):
        os.write(write_end, b"y" * 1000 + b"\n")
    os.close(write_end)


def test_a_reader_that_is_gone_does_not_block_the_programs() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    target = io.FileIO(write_end, "wb")
    with target, merging(target, "web | ") as (web,):
        flood(web)


def test_a_terminal_that_is_closed_does_not_block_the_programs() -> None:
    controller, terminal = os.openpty()
    os.close(controller)
    with pytest.raises(OSError, match="Input/output error"):
        os.write(terminal, b"x")
    target = io.FileIO(terminal, "wb")
    with target, merging(target, "web | ") as (web,):
        flood(web)
