"""The rows of the upload page, run in a browser without the service."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import translation
from playwright.sync_api import Browser, Page, expect

from tests.browser.harness import open_modules
from webapp.dashboard.templatetags.results import score
from webapp.dashboard.upload_words import RESULT_WORDS, WORDS
from webapp.studies.models import Reading

pytestmark = pytest.mark.browser

HOME = Path(__file__).parents[2] / "webapp/dashboard/templates/dashboard/home.html"
SHOW = """async ([job, before]) => {
    const [{ Row }, { answerOf }] = await Promise.all(["rows", "results"].map((name) => import(`/upload-${name}.js`)));
    new Row("a.jpeg").result(answerOf(job), before);
}"""
SCORES = """async (jobs) => {
    const { scoreOf } = await import("/upload-results.js");
    return jobs.map(scoreOf);
}"""
#: Scores around bounds, at halves between two printed values, and at the ends.
PROBABILITIES = (
    0.0, 0.0004, 0.0007, 0.00099999, 0.001, 0.0115, 0.0625, 0.2225, 0.2226, 0.23105, 0.2311, 0.4484, 0.4485, 0.4487,
    0.4489, 0.448899999, 0.4512, 0.4513, 0.98765, 0.99895, 0.999, 0.9993, 0.9995, 1.0,
    *(number / 977 for number in range(977)),
)  # fmt: skip
POINTS: tuple[dict[str, float], ...] = (
    {"balanced": 0.4489, "screening": 0.2226},
    {"balanced": 0.4513, "screening": 0.0007},
    {"balanced": 0.9995, "screening": 0.001},
    {"balanced": 0.2},
    {},
)
JOB = {
    "probability": 0.031, "result_group": "negative", "reliable": True, "warnings": [], "verdict": None,
    "verdict_kind": None, "final_group": "negative", "threshold": 0.4489,
    "readings": [{"operating_points": {"balanced": 0.4489, "screening": 0.2226}}],
}  # fmt: skip
OVERRULED = {**JOB, "verdict": "PNEUMONIA", "verdict_kind": "bacterial", "final_group": "positive"}
UNUSABLE = [{"code": "not_chest_xray", "detail": "It does not look like a chest X-ray."}]
OUTSIDE = [{"code": "age_outside_training", "detail": "The patient was 64 years old."}]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def show(page: Page, job: dict[str, Any], language: str = "en", before: str = "") -> None:
    """Open a page with the row of a job."""
    [template] = re.findall(r'<template id="upload-row">.*?</template>', HOME.read_text(), re.DOTALL)
    with translation.override(language):
        texts = {
            name: json.dumps(words, cls=DjangoJSONEncoder)
            for name, words in (("result-words", RESULT_WORDS), ("upload-words", WORDS))
        }
    scripts = [f'<script id="{name}" type="application/json">{text}</script>' for name, text in texts.items()]
    open_modules(page, f'{"".join(scripts)}<ul id="uploads"></ul><p id="news"></p>{template}')
    page.evaluate(SHOW, [job, before])


@pytest.mark.parametrize(
    ("job", "tone", "text"),
    [
        (JOB, "negative", "No signs of pneumonia found 3.1 %"),
        (OVERRULED, "positive", "Pneumonia, bacterial model 3.1 %"),
        ({**OVERRULED, "reliable": False, "warnings": OUTSIDE}, "positive", "Pneumonia, bacterial model 3.1 %"),
        ({**JOB, "verdict": "NORMAL"}, "negative", "Normal model 3.1 %"),
        ({**JOB, "verdict": "UNUSABLE", "final_group": "unusable"}, "unusable", "Not usable model 3.1 %"),
        (
            {**JOB, "reliable": False, "warnings": OUTSIDE},
            "unusable",
            "Outside the model's ages: No signs of pneumonia found 3.1 %",
        ),
        (
            {**JOB, "result_group": "unusable", "final_group": "unusable", "reliable": False, "warnings": UNUSABLE},
            "unusable",
            "Probably not a usable chest X-ray",
        ),
        ({**OVERRULED, "result_group": "unusable", "warnings": UNUSABLE}, "positive", "Pneumonia, bacterial"),
    ],
)
def test_a_row_shows_the_readers_verdict_or_else_the_models_answer(
    page: Page, job: dict[str, Any], tone: str, text: str
) -> None:
    show(page, job, before="Already read, just now: ")
    expect(page.locator(".tag")).to_have_class(f"tag {tone}")
    expect(page.locator(".upload-state")).to_have_text(f"Already read, just now: {text}")
    expect(page.locator("#news")).to_have_text(f"a.jpeg: Already read, just now: {text}")


def test_a_verdict_is_shown_in_the_readers_language(page: Page) -> None:
    show(page, OVERRULED, "ne")
    words: Any = RESULT_WORDS
    with translation.override("ne"):
        expected = f"{words['verdicts']['PNEUMONIA']}, {words['kinds']['bacterial']} {words['model']} 3.1 %"
    assert "Pneumonia" not in expected
    expect(page.locator(".upload-state")).to_have_text(expected)


def test_a_row_and_a_page_write_the_same_score(page: Page) -> None:
    show(page, JOB)
    readings = [
        Reading(probability=probability, threshold=0.4489, operating_points=points)
        for points in POINTS
        for probability in PROBABILITIES
    ]
    jobs = [
        {
            "probability": reading.probability, "threshold": reading.threshold,
            "readings": [{"operating_points": reading.operating_points}],
        }
        for reading in readings
    ]  # fmt: skip
    assert page.evaluate(SCORES, jobs) == [score(reading) for reading in readings]
