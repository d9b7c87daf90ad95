"""Batches: a failure of one image affects no other image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import signals
from django.core.files.storage import default_storage
from django.db import OperationalError

from tests import synthetic
from tests.worker.reading.conftest import GIVES_NAN, RAISES, SUCCEEDED, Engine, Prepared, messages, states
from webapp.studies.choices import Status
from webapp.studies.models import Reading
from webapp.studies.services import cancellation, reading
from worker import tasks
from worker.infer import reader
from worker.process import presence


def delete(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60])


def replace(file: Path) -> None:
    file.write_bytes(synthetic.xray_png(1, (100, 100)))


@pytest.mark.parametrize("damage", [delete, truncate, replace])
def test_an_image_whose_input_is_missing_or_damaged_fails_alone(
    prepared: Prepared, engine: Engine, damage: Callable[[Path], None]
) -> None:
    images = [prepared(shade) for shade in (100, 101, 102)]
    damage(Path(images[1].reading.input.path))
    assert reader.read_batch([image.pk for image in images]) == 2
    assert states(*images) == [SUCCEEDED, (Status.FAILED, "input_missing"), SUCCEEDED]
    assert images[1].error_detail.endswith(".")


def test_a_batch_without_any_input_does_not_reach_the_model(prepared: Prepared, engine: Engine) -> None:
    image = prepared(100)
    default_storage.delete(image.reading.input.name)
    assert reader.read_batch([image.pk]) == 0
    assert engine.batches == []
    assert states(image) == [(Status.FAILED, "input_missing")]


def test_an_image_whose_result_is_not_a_number_fails_alone(prepared: Prepared) -> None:
    images = [prepared(shade) for shade in (100, GIVES_NAN, 102)]
    assert reader.read_batch([image.pk for image in images]) == 2
    assert states(*images) == [SUCCEEDED, (Status.FAILED, "model_error"), SUCCEEDED]
    assert Reading.objects.filter(state="succeeded").count() == 2


def test_only_the_image_that_the_model_fails_on_fails(prepared: Prepared, engine: Engine) -> None:
    images = [prepared(shade) for shade in (100, RAISES, 102, 103)]
    assert reader.read_batch([image.pk for image in images]) == 3
    assert states(*images) == [SUCCEEDED, (Status.FAILED, "model_error"), SUCCEEDED, SUCCEEDED]
    assert sorted(len(batch) for batch in engine.batches) == [1, 1, 1, 1, 4]
    assert images[2].result.probability == pytest.approx(102 / 255)


def test_an_image_that_fails_in_a_batch_of_its_own_is_tried_once(prepared: Prepared, engine: Engine) -> None:
    image = prepared(RAISES)
    assert reader.read_batch([image.pk]) == 0
    assert engine.batches == [[RAISES]]
    assert states(image) == [(Status.FAILED, "model_error")]


def test_an_image_that_is_cancelled_while_it_is_read_gets_no_result(prepared: Prepared, engine: Engine) -> None:
    kept, cancelled = prepared(100), prepared(101)
    engine.during_read = lambda: cancellation.cancel_image(cancelled)
    assert reader.read_batch([kept.pk, cancelled.pk]) == 1
    assert states(kept, cancelled) == [SUCCEEDED, (Status.CANCELLED, "")]
    assert cancelled.result is None


def test_a_late_result_does_not_change_a_reading_of_another_worker(prepared: Prepared, engine: Engine) -> None:
    image = prepared(100)
    claims: list[Any] = []

    def let_another_worker_claim_it() -> None:
        reading.release_abandoned([], 10)
        claims.append(uuid4())
        assert reading.claim(claims[0], uuid4(), "chest-1.2.0", [image.pk])

    engine.during_read = let_another_worker_claim_it
    assert reader.read_batch([image.pk]) == 0
    assert states(image) == [(Status.RUNNING, "")]
    assert image.reading.claim == claims[0]


def test_an_image_that_has_stopped_its_worker_too_often_is_not_read(
    prepared: Prepared, engine: Engine, settings: Any
) -> None:
    image = prepared(100, attempts=settings.MAX_ATTEMPTS)
    assert reader.read_batch([image.pk]) == 0
    assert engine.batches == []
    assert states(image) == [(Status.FAILED, "worker_crashed")]


@pytest.mark.parametrize("hook", ["on_batch_lost", "on_batch_failed"])
def test_an_unfinished_batch_is_released_and_its_attempt_counts(prepared: Prepared, hook: str) -> None:
    images = [prepared(shade) for shade in (100, 101)]
    token = uuid4()
    reading.claim(token, presence.WORKER, "chest-1.2.0", [image.pk for image in images])
    getattr(tasks.infer, hook)(messages(*images), token)
    assert states(*images) == [(Status.READY, "")] * 2
    assert [image.reading.attempts for image in images] == [1, 1]


def test_a_lost_batch_is_released_when_the_database_answers_again(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker is alive, so no other worker would ever take it."""
    image = prepared(100)
    token = uuid4()
    reading.claim(token, presence.WORKER, "chest-1.2.0", [image.pk])

    def fail(*_: Any) -> int:
        raise OperationalError("the database is unreachable")

    with monkeypatch.context() as patch:
        patch.setattr(reading, "release", fail)
        tasks.infer.on_batch_lost(messages(image), token)
        signals.heartbeat_sent.send(sender=None)
        assert states(image) == [(Status.RUNNING, "")]
    signals.heartbeat_sent.send(sender=None)
    assert states(image) == [(Status.READY, "")]
