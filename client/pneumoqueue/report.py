"""Messages and progress bars for the user."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Report:
    """Writes to standard error, so that standard output has the results alone. Use it as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
            console=self.console, disable=not self.console.is_terminal,
        )  # fmt: skip
        self._bytes: TaskID | None = None

    def __enter__(self) -> Report:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def message(self, text: str) -> None:
        self.console.print(escape(text))

    def begin(self, what: str, total: int) -> None:
        """Show a bar of bytes."""
        self._bytes = self._progress.add_task(escape(what), total=total)

    def advance(self, size: int) -> None:
        if self._bytes is not None:
            self._progress.advance(self._bytes, size)

    @property
    def position(self) -> float:
        return self._progress.tasks[self._bytes].completed if self._bytes is not None else 0.0

    def back_to(self, position: float) -> None:
        """Move the bar back, since a request is repeated."""
        if self._bytes is not None:
            self._progress.update(self._bytes, completed=position)

    def end(self) -> None:
        if self._bytes is not None:
            self._progress.remove_task(self._bytes)
            self._bytes = None
