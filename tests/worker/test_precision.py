"""``KERAS_PRECISION`` names a precision of the engine, and nothing else starts."""

import runpy

import pytest
from django.core.exceptions import ImproperlyConfigured

from ml.inference import engines
from webapp.config.settings import work


@pytest.mark.parametrize("name", engines.PRECISIONS)
def test_the_settings_know_every_precision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_PRECISION", name)
    assert runpy.run_path(work.__file__)["KERAS_PRECISION"] == name


def test_the_default_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_PRECISION", "")
    assert runpy.run_path(work.__file__)["KERAS_PRECISION"] == engines.FLOAT32


@pytest.mark.parametrize("name", ["half", "Float16", "mixed_bfloat16"])
def test_an_unknown_precision_is_refused_at_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_PRECISION", name)
    with pytest.raises(ImproperlyConfigured, match=f"KERAS_PRECISION={name} is not .* float32, bfloat16 or float16"):
        runpy.run_path(work.__file__)
