"""Record with strace what a program and its children do to the files of a folder, in order."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OPENS = ("open", "openat", "creat")
CHANGES_OF_NAMES = (
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
)
CHANGES_OF_FILES = ("write", "pwrite64", "ftruncate", "lseek", "fsync", "fdatasync")
#: Calls that the model does not cover. One that concerns the folder raises an error, so that none is overlooked.
UNKNOWN = ("writev", "pwritev", "pwritev2", "truncate", "fallocate", "sendfile", "copy_file_range")
CALLS = ",".join((*OPENS, *CHANGES_OF_NAMES, *CHANGES_OF_FILES, *UNKNOWN, "mmap"))

LINE = re.compile(r"^(?P<thread>\d+) +(?P<rest>.*)$")
RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(?P<rest>.*)$")
CALL = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?P<opened><[^>]*>)?")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
FILE = re.compile(r"^(?P<number>\d+)<(?P<path>[^>]*)>")
FILES = re.compile(r"\d+<([^>]*)>")


@dataclass(frozen=True)
class Operation:
    """A change of the disk, or a promise that the program wrote.

    Attributes:
        kind: ``create``, ``write``, ``truncate``, ``sync``, ``rename``, ``link``, ``unlink``, ``mkdir``, ``rmdir``,
            ``promise``.
        path: a path within the folder; empty for ``promise``.
        data: the bytes that were written, or the promise.
        offset: the position of a write, or the length after ``truncate``.
        target: the new path after ``rename`` and ``link``.
    """

    kind: str
    path: Path
    data: bytes = b""
    offset: int = 0
    target: Path = Path()


def record(
    command: Sequence[str], folder: Path, promises: Path, environment: Mapping[str, str], log: Path
) -> list[Operation]:
    """Run a command to its end.

    Args:
        command: the program and its arguments.
        folder: the folder whose changes are recorded.
        promises: a file outside the folder; each line that the program writes to it becomes a ``promise``.
        environment: the command's environment variables.
        log: the file that strace writes.

    Raises:
        RuntimeError: the command failed, or made a call that the model does not cover.
    """
    traced = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", log, *command],
        env=environment,
        capture_output=True,
        text=True,
    )
    if traced.returncode:
        raise RuntimeError(f"the recorded program failed:\n{traced.stdout[-2000:]}\n{traced.stderr[-4000:]}")
    return list(_operations(log, folder.resolve(), promises.resolve()))


@dataclass(frozen=True)
class Call:
    """A system call that succeeded."""

    name: str
    arguments: str
    result: int
    opened: str

    @property
    def texts(self) -> list[bytes]:
        return [_decoded(text) for text in TEXT.findall(self.arguments)]

    @property
    def paths(self) -> list[Path]:
        """All paths that it names, as text or by an open file."""
        named = [*self.texts, *map(_decoded, FILES.findall(self.arguments))]
        return [Path(os.fsdecode(text)) for text in named]


def _operations(log: Path, folder: Path, promises: Path) -> Iterator[Operation]:
    positions: dict[tuple[str, Path], int] = {}
    for call in _calls(log):
        if call.name in OPENS:
            yield from _opened(call, folder, positions)
        elif call.name in CHANGES_OF_NAMES:
            yield from _names_changed(call, folder)
        elif call.name in UNKNOWN or (call.name == "mmap" and "PROT_WRITE" in call.arguments):
            # SQLite recreates its shared memory after a crash.
            if odd := [path for path in call.paths if _within(path, folder) and not path.name.endswith("-shm")]:
                raise RuntimeError(f"{call.name} on {odd[0]} is not covered by this model")
        elif file := FILE.match(call.arguments):
            number, path = file["number"], Path(os.fsdecode(_decoded(file["path"])))
            if path == promises and call.name == "write":
                yield Operation("promise", Path(), call.texts[0])
            elif _within(path, folder):
                yield from _file_changed(call, number, path, positions)


def _names_changed(call: Call, folder: Path) -> Iterator[Operation]:
    paths = [Path(os.fsdecode(text)) for text in call.texts]
    if any(not path.is_absolute() for path in paths):
        raise RuntimeError(f"{call.name} of {paths}: this model covers absolute paths only")
    if any(_within(path, folder) for path in paths):
        kind = call.name.removesuffix("2").removesuffix("at")
        kind = "rmdir" if "AT_REMOVEDIR" in call.arguments else kind
        yield Operation(kind, paths[0], target=paths[1] if kind in ("rename", "link") else Path())


def _file_changed(call: Call, number: str, path: Path, positions: dict[tuple[str, Path], int]) -> Iterator[Operation]:
    last = call.arguments.rsplit(",", 1)[-1]
    if call.name == "lseek":
        positions[number, path] = call.result
    elif call.name == "write":
        offset = positions.get((number, path), 0)
        positions[number, path] = offset + call.result
        yield Operation("write", path, call.texts[0][: call.result], offset)
    elif call.name == "pwrite64":
        yield Operation("write", path, call.texts[0][: call.result], int(last))
    elif call.name == "ftruncate":
        yield Operation("truncate", path, offset=int(last))
    elif call.name in ("fsync", "fdatasync"):
        yield Operation("sync", path)


def _opened(call: Call, folder: Path, positions: dict[tuple[str, Path], int]) -> Iterator[Operation]:
    path = Path(os.fsdecode(_decoded(call.opened[1:-1])))
    if not _within(path, folder):
        return
    if "O_APPEND" in call.arguments or "O_TMPFILE" in call.arguments:
        raise RuntimeError(f"{path} is opened in a way that this model does not cover: {call.arguments[-80:]}")
    positions[str(call.result), path] = 0
    if "O_CREAT" in call.arguments:
        yield Operation("create", path)
    if "O_TRUNC" in call.arguments:
        yield Operation("truncate", path)


def _calls(log: Path) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they returned."""
    unfinished: dict[str, str] = {}
    with log.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            found = LINE.match(line.rstrip("\n"))
            if not found:
                continue
            thread, rest = found["thread"], found["rest"]
            if rest.endswith("<unfinished ...>"):
                unfinished[thread] = rest.removesuffix("<unfinished ...>").rstrip()
                continue
            if resumed := RESUMED.match(rest):
                rest = unfinished.pop(thread, "") + resumed["rest"]
            call = CALL.match(rest)
            if call and not call["result"].startswith("-"):
                yield Call(call["name"], call["arguments"], int(call["result"]), call["opened"] or "<>")


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents
