"""Results on pages: the map, words, colours and scales, and whether to rely on them."""

import re
from datetime import timedelta
from html import unescape
from uuid import UUID

import pytest
from django.test import Client

from tests.webapp.pages.conftest import image, read
from webapp.dashboard.templatetags import results, rows, scale
from webapp.studies.choices import group_of
from webapp.studies.models import Image, Reading, Study
from webapp.studies.services.judging import outside_training

pytestmark = pytest.mark.django_db


# --- the map, and whether to rely on a result -------------------------------------------------------------------------


def read_with_map(guest: UUID, *, values: bytes = b"", doubtful: bool = False, **fields) -> Image:
    """An image with a result, a map of these values, and if doubtful the warning that it is no chest X-ray."""
    detail = "This does not look like a chest X-ray. Do not rely on the probability."
    warnings = [{"code": "not_chest_xray", "detail": detail}] if doubtful else []
    return read(guest, heatmap=values, warnings=warnings, **fields)


def test_a_result_with_a_map_has_a_switch_for_it(browser: Client, guest: UUID) -> None:
    xray = read_with_map(guest, values=bytes([0, 255, 9, 0]))
    html = browser.get(xray.get_absolute_url()).content.decode()
    assert f"/api/v1/images/{xray.pk}/heatmap.png" in html
    assert "Show what raised the score" in html
    for text in ("Look there first", "Orange outside the lungs is a reason to distrust", 'class="map-scale"'):
        assert text in html
    assert "Almost nothing" not in html
    assert re.search(r'<input id="rests" type="checkbox" role="switch"', html)


def test_a_nearly_empty_map_is_explained(browser: Client, guest: UUID) -> None:
    html = browser.get(read_with_map(guest, values=bytes([0, 63, 9, 0])).get_absolute_url()).content.decode()
    assert "Almost nothing here raised the model's score" in html


@pytest.mark.parametrize(("share", "shown"), [(0.734, "73 %"), (0.0, "0 %"), (None, "")])
def test_the_page_says_how_much_of_the_map_lies_on_the_lungs(
    browser: Client, guest: UUID, share: float | None, shown: str
) -> None:
    xray = read_with_map(guest, values=bytes([0, 255, 9, 0]), evidence_inside_lungs=share)
    html = browser.get(xray.get_absolute_url()).content.decode()
    assert ("of the map lies on or next to the lungs" in html) == bool(shown)
    assert not shown or f"{shown} of the map lies on or next to the lungs" in html


def test_a_result_without_a_map_has_no_switch(browser: Client, guest: UUID) -> None:
    html = browser.get(read_with_map(guest).get_absolute_url()).content.decode()
    assert "heatmap.png" not in html
    assert "Show what raised the score" not in html


@pytest.mark.parametrize(
    ("probability", "bounds", "shown", "unclear", "positive"),
    [
        (0.4484, (0.2226, 0.4489), "44.8 %", "22.3 %", "44.9 %"),
        (0.4487, (0.2226, 0.4489), "44.87 %", "22.26 %", "44.89 %"),
        (0.4489, (0.2226, 0.4489), "44.9 %", "22.3 %", "44.9 %"),
        (0.2225, (0.2226, 0.4489), "22.25 %", "22.26 %", "44.89 %"),
        (0.2226, (0.2226, 0.4489), "22.3 %", "22.3 %", "44.9 %"),
        (0.23105, (0.2311, 0.4489), "23.105 %", "23.110 %", "44.890 %"),
        (0.4512, (0.2226, 0.4513), "45.12 %", "22.26 %", "45.13 %"),
        (0.0004, (0.0007, 0.4489), "0.04 %", "0.07 %", "44.89 %"),
        (0.0004, (0.001, 0.4489), "< 0.1 %", "0.1 %", "44.9 %"),
        (0.9993, (0.4489, 0.9995), "99.93 %", "44.89 %", "99.95 %"),
    ],
)
def test_a_score_does_not_look_like_a_bound_that_it_is_below(
    browser: Client,
    guest: UUID,
    probability: float,
    bounds: tuple[float, float],
    shown: str,
    unclear: str,
    positive: str,
) -> None:
    points = dict(zip(("screening", "balanced"), bounds, strict=True))
    xray = read(guest, probability=probability)
    Reading.objects.update(threshold=points["balanced"], operating_points=points)
    html = unescape(browser.get(xray.get_absolute_url()).content.decode())
    assert f"<strong>{shown}</strong> model" in html
    assert f"Score {shown}, unclear from {unclear}, signs of pneumonia from {positive}" in html
    assert f"signs from {positive}</text>" in html
    assert f"Below {unclear} no signs were found; from {positive} up" in html
    assert rows.answer(Image.objects.get()).probability == shown


UNUSABLE = "Probably not a usable chest X-ray"


def test_an_unusable_image_has_a_warning_and_neither_percentage_nor_map(browser: Client, guest: UUID) -> None:
    xray = read_with_map(guest, doubtful=True, probability=0.87, values=bytes([0, 255, 9, 0]))
    html = browser.get(xray.get_absolute_url()).content.decode()
    order = ["does not look like a chest X-ray", f"<h1>{UNUSABLE}</h1>", "answer is not shown", '<figure class="film"']
    places = [html.index(text) for text in order]
    assert places == sorted(places)
    assert html.count("does not look like a chest X-ray") == 1
    assert "Do not rely on the probability" not in html, "this page shows no probability"
    for text in (
        "not_chest_xray", "What this answer means", "Signs of pneumonia", "87.0", 'class="figure"', 'class="scale"',
        "heatmap.png", "negative",
    ):  # fmt: skip
        assert text not in html, text
    news = browser.get(f"{xray.get_absolute_url()}card/").content.decode().partition('id="news"')[2]
    assert UNUSABLE in news
    assert "87.0" not in news


def test_an_unreliable_result_warns_against_the_probability_that_it_shows(
    browser: Client, make_department, user
) -> None:
    browser.force_login(user)
    department = make_department(reader=user)
    warnings = outside_training(9, "")
    xray = read(None, department=department, warnings=warnings)
    for group, shown in (("positive", True), ("unusable", False)):
        xray.readings.update(group=group)
        html = browser.get(xray.get_absolute_url()).content.decode()
        assert "The patient was 9 years old" in html
        assert (results.percent(0.913) in html) is shown
        assert ("Do not rely on the probability." in html) is shown


def tags(html: str) -> list[tuple[str, str]]:
    """The class and words of each result that a page lists."""
    return re.findall(r'<span class="tag ([a-z]*)">([^<]*)</span>', html)


@pytest.mark.parametrize(
    ("probability", "doubtful", "group", "words"),
    [
        (0.801, False, "unclear", "Unclear: have it read first"),
        (0.8598, False, "positive", "Signs of pneumonia"),
        (0.2311, False, "unclear", "Unclear: have it read first"),
        (0.23, False, "negative", "No signs of pneumonia found"),
        (0.05, True, "unusable", UNUSABLE),
    ],
)
def test_words_and_colours_follow_the_group_everywhere(
    browser: Client, guest: UUID, probability: float, doubtful: bool, group: str, words: str
) -> None:
    study = Study.objects.create(guest=guest, name="ward")
    fields = {"probability": probability, "threshold": 0.8598, "doubtful": doubtful}
    xray, listed = read_with_map(guest, **fields), read_with_map(guest, study=study, **fields)
    points = {"balanced": 0.8598, "screening": 0.2311}
    for one in (xray, listed):
        reading = one.reading
        assert reading
        reading.operating_points = points
        reading.group = group_of(probability, 0.8598, points, reading.warnings)
        reading.save()
    home = browser.get("/").content.decode()
    assert tags(home) == [(group, words)]
    assert (results.percent(probability) in home) is not doubtful
    table = browser.get(study.get_absolute_url()).content.decode()
    assert tags(table) == [(group, words)]
    assert (results.percent(probability) in table) is not doubtful
    page = browser.get(xray.get_absolute_url()).content.decode()
    assert f'<header class="answer {group}">' in page
    assert f"<h1>{words}</h1>" in page
    assert ("does not rule pneumonia out" in page) is (group == "negative")


# --- words and scales -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "< 0.1 %"), (0.0004, "< 0.1 %"), (0.5, "50.0 %"), (0.9994, "> 99.9 %"), (1.0, "> 99.9 %")],
)
def test_a_probability_is_never_0_or_100_percent(probability: float, text: str) -> None:
    assert results.percent(probability) == text


def test_the_parts_of_the_scale_add_up_and_its_text_stays_inside() -> None:
    assert float(scale.on_scale(0.3)) + float(scale.beyond(0.3)) == scale.SCALE
    assert 0 < float(scale.on_scale_text(0.0)) < float(scale.on_scale_text(1.0)) < scale.SCALE


def test_time_in_both_queues_is_added_up(guest: UUID) -> None:
    xray = read(guest)
    xray.created_at = xray.ingest_started_at - timedelta(seconds=2)
    assert results.waited(xray) == "2.50 s"
    assert results.waited(image(guest)) == "–"
