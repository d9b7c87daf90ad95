"""The log lines of a task name its image."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
from celery import signals

from webapp.observability import correlation
from worker.process import logs


def task(name: str, **request: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, request=SimpleNamespace(get=request.get))


def begin(name: str, args: tuple, **request: str) -> dict[str, str]:
    logs._begin(task=task(name, **request), args=args)
    return dict(correlation.current())


def test_a_tasks_log_lines_name_its_image_and_request() -> None:
    image_id = str(uuid4())
    assert begin("worker.ingest", (image_id,), request_id="request-1") == {
        "request_id": "request-1", "image_id": image_id,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args"),
    [("worker.unpack", (str(uuid4()),)), ("worker.infer", ([object()],)),
     ("worker.ingest", ("no id",)), ("worker.ingest", (7,))],
)  # fmt: skip
def test_log_lines_of_other_tasks_name_no_image(name: str, args: tuple) -> None:
    assert begin(name, args) == {}


def test_messages_of_an_earlier_release_have_no_request_id() -> None:
    image_id = str(uuid4())
    assert begin("worker.ingest", (image_id,)) == {"image_id": image_id}


def test_a_task_leaves_no_ids_to_the_next() -> None:
    begin("worker.ingest", (str(uuid4()),), request_id="request-1")
    signals.task_postrun.send(sender=None)
    assert dict(correlation.current()) == {}
