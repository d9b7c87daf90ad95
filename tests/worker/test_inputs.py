"""Loading the next batch's inputs while the device is busy."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import connections

from webapp.studies.choices import Priority
from webapp.studies.models import Image, Reading
from worker.infer.inputs import Inputs

Prepared = Callable[..., Image]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def inputs(settings: object) -> Iterator[Inputs]:
    loader = Inputs(224, "chest-1.2.0")
    yield loader
    # The test's database cannot be emptied while a thread is connected to it.
    loader._looking.submit(connections.close_all).result()


def shades(loaded: dict[object, object]) -> list[int | None]:
    return [None if pixels is None else int(np.asarray(pixels)[0, 0]) for pixels in loaded.values()]


def delete_inputs(*images: Image) -> None:
    for image in images:
        default_storage.delete(image.reading.input.name)


def readings(*images: Image) -> list[Reading]:
    return [image.reading for image in images]


def test_inputs_come_in_the_order_of_their_images(prepared: Prepared, inputs: Inputs) -> None:
    images = [prepared(shade) for shade in (90, 10, 50)]
    assert list(inputs.load(readings(*images))) == [image.pk for image in images]
    assert shades(inputs.load(readings(*images))) == [90, 10, 50]


def test_a_missing_input_is_none(prepared: Prepared, inputs: Inputs) -> None:
    images = [prepared(shade) for shade in (90, 10)]
    delete_inputs(images[0])
    assert shades(inputs.load(readings(*images))) == [None, 10]


def test_inputs_that_were_loaded_ahead_are_not_loaded_again(prepared: Prepared, inputs: Inputs) -> None:
    images = [prepared(shade) for shade in (90, 10)]
    inputs.look_ahead()
    inputs._looking.submit(int).result()  # looking ahead has ended
    delete_inputs(*images)
    late = prepared(30)
    assert shades(inputs.load(readings(images[1], late, images[0]))) == [10, 30, 90]
    assert shades(inputs.load(readings(*images))) == [None, None], "inputs are not kept after their use"


def test_inputs_that_the_batch_had_no_place_for_are_kept_for_the_next(prepared: Prepared, inputs: Inputs) -> None:
    images = [prepared(shade) for shade in (90, 10)]
    for image in images:
        inputs.look_ahead()
        inputs._looking.submit(int).result()
        delete_inputs(*images)
        assert shades(inputs.load(readings(image))) != [None]


def test_the_next_batch_is_loaded_ahead(prepared: Prepared, inputs: Inputs, settings: object) -> None:
    settings.MAX_BATCH = 2
    bulk = [prepared(shade, priority=Priority.BULK) for shade in (1, 2)]
    interactive = prepared(3, priority=Priority.INTERACTIVE)
    suspect = prepared(4, priority=Priority.INTERACTIVE, attempts=1)
    inputs.look_ahead()
    inputs._looking.submit(int).result()
    delete_inputs(*bulk, interactive, suspect)
    assert shades(inputs.load(readings(*bulk, interactive, suspect))) == [1, None, 3, None]


def test_inputs_for_another_model_are_not_loaded_ahead(prepared: Prepared, inputs: Inputs) -> None:
    other, own = prepared(1, bundle="chest-2.0.0"), prepared(2)
    inputs.look_ahead()
    inputs._looking.submit(int).result()
    delete_inputs(other, own)
    assert shades(inputs.load(readings(other, own))) == [None, 2]


def test_loading_gives_up_on_a_hanging_storage_before_the_batch_time_limit(
    prepared: Prepared, inputs: Inputs, monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    settings.BATCH_TIME_LIMIT = 1.5
    answers, hangs = prepared(90), prepared(10)
    resumed = threading.Event()
    load = inputs._load

    def slowly(reading: Reading) -> object:
        if reading.image_id == hangs.pk:
            resumed.wait(30)
        return load(reading)

    monkeypatch.setattr(inputs, "_load", slowly)
    started = time.monotonic()
    assert list(inputs.load(readings(answers, hangs))) == [answers.pk]
    assert time.monotonic() - started < 1.5
    resumed.set()
