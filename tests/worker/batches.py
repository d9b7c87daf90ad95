"""The batcher between a fake consumer and a fake pool, with real messages and the unchanged base class."""

import json
import pickle
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Celery
from kombu.message import Message

from worker.infer.batching import AdaptiveBatches


class Job:
    """A batch that was handed to the pool."""

    def __init__(self, target: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.target, self.args, self.options = target, args, options
        # The prefork pool pickles what it sends to its child. This line unpickles only what it has pickled itself.
        self.ids = [request.args[0] for request in pickle.loads(pickle.dumps(args[1][0]))]  # noqa: S301

    def accept(self) -> None:
        self.options["accept_callback"](4711, 0.0)

    def finish(self) -> None:
        self.options["callback"](self.target(*self.args))

    def lose(self) -> None:
        self.options["error_callback"](SimpleNamespace(exception=RuntimeError("signal 9 (SIGKILL)")))


class Worker:
    """The parts of a Celery worker around the task: its connection, event loop, pool and event dispatcher."""

    def __init__(self, max_batch: int = 4) -> None:
        self.read: list[list[str]] = []
        #: Images that the child reads in each of its next batches; if None, one for each message.
        self.images: int | None = None
        self.largest = max_batch
        self.claims: list[UUID] = []
        self.lost: list[list[str]] = []
        self.lost_claims: list[UUID] = []
        self.failed: list[list[str]] = []
        self.acknowledged: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.jobs: list[Job] = []
        self._scheduled: list[Callable[[], None]] = []
        self.app = Celery("test", set_as_current=False, broker="memory://")

        class Task(AdaptiveBatches):
            abstract = True

            def on_batch_lost(_, requests: Collection[Any], claim: UUID) -> None:
                self.lost.append([request.args[0] for request in requests])
                self.lost_claims.append(claim)

            def on_batch_failed(_, requests: Collection[Any], claim: UUID) -> None:
                self.failed.append([request.args[0] for request in requests])

            def largest_batch(_) -> int:
                return self.largest

        @self.app.task(name="read", base=Task, max_batch=max_batch, shared=False)
        def read(requests: Collection[Any], claim: UUID) -> int:
            self.claims.append(claim)
            self.read.append([request.args[0] for request in requests])
            if any(request.args[0] == "bad" for request in requests):
                raise ValueError("bad")
            return self.images if self.images is not None else len(requests)

        self.task = self.app.tasks["read"]
        self.connect()

    def connect(self) -> None:
        """Open a new connection to the broker, with a fresh event loop."""
        self._scheduled = []
        consumer = SimpleNamespace(
            app=self.app,
            pool=SimpleNamespace(apply_async=self._apply),
            hub=SimpleNamespace(call_soon=self._scheduled.append),
            hostname="infer@test",
            connection_errors=(),
            event_dispatcher=SimpleNamespace(
                enabled=True, send=lambda kind, uuid, **_: self.events.append((kind, self._names[uuid]))
            ),
            timer=None,  # starting the base class's flush timer would fail
        )
        self._names: dict[str, str] = getattr(self, "_names", {})
        self._handle = self.task.start_strategy(self.app, consumer)

    def deliver(self, *names: str, queue: str = "infer.interactive", **kwargs: Any) -> None:
        """Deliver messages, all in one turn of the event loop."""
        for name in names:
            message = self.app.amqp.as_task_v2(str(uuid4()), "read", args=(name,), kwargs=kwargs)
            self._names[message.headers["id"]] = name
            self._handle(
                Message(
                    body=json.dumps(message.body),
                    headers=message.headers,
                    properties=message.properties,
                    content_type="application/json",
                    content_encoding="utf-8",
                    delivery_info={"routing_key": queue},
                ),
                None,
                lambda *_, name=name: self.acknowledged.append(name),
                lambda *_, name=name: pytest.fail(f"{name} was rejected"),
                set(),
            )
        self.turn()

    def turn(self) -> None:
        """Run the event loop once: make all calls that were scheduled."""
        calls, self._scheduled[:] = self._scheduled[:], []
        for call in calls:
            call()

    def _apply(self, target: Callable[..., Any], args: tuple[Any, ...], **options: Any) -> None:
        self.jobs.append(Job(target, args, options))

    @property
    def batches(self) -> list[list[str]]:
        return [job.ids for job in self.jobs]

    def finish(self) -> None:
        """Let the child accept the latest batch, read it and finish."""
        self.jobs[-1].accept()
        self.jobs[-1].finish()
        self.turn()
