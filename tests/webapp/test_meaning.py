"""What an answer means: the predictive values for a prevalence of pneumonia, and where the prevalence comes from."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.webapp.clients import PASSWORD, Client
from tests.webapp.rows import BUNDLE
from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.reviews import prevalence
from webapp.reviews.models import Review
from webapp.sharing import services as sharing
from webapp.studies import meaning
from webapp.studies.choices import Status
from webapp.studies.models import Bundle, Image
from webapp.studies.services import bundles

pytestmark = pytest.mark.django_db

#: 90 % of 400 pneumonias are found, and 1 % of 100 normal images are called pneumonia.
ANSWERS = {
    "pneumonia": {"images": 400, "positive": 0.9, "unclear": 0.08, "negative": 0.02},
    "normal": {"images": 100, "positive": 0.01, "unclear": 0.04, "negative": 0.95},
}


@pytest.fixture
def measured() -> None:
    bundles.keep(BUNDLE, ANSWERS)


# --- the figures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "frequency", "share"),
    [
        ("positive", 0.2, 0.2 * 0.9 / (0.2 * 0.9 + 0.8 * 0.01)),
        ("positive", 0.05, 0.05 * 0.9 / (0.05 * 0.9 + 0.95 * 0.01)),
        ("unclear", 0.2, 0.2 * 0.08 / (0.2 * 0.08 + 0.8 * 0.04)),
        ("negative", 0.2, 0.2 * 0.02 / (0.2 * 0.02 + 0.8 * 0.95)),
    ],
)
def test_a_predictive_value_follows_bayes_rule(group, frequency, share):
    found = meaning.of_answer(ANSWERS, group, frequency)
    assert found
    assert found.share == pytest.approx(share)
    assert 0 < found.low < found.share < found.high < 1
    assert found.images == 500


def test_more_images_narrow_the_interval():
    few = meaning.of_answer(ANSWERS, "positive", 0.2)
    more = {name: {**shares, "images": 100 * shares["images"]} for name, shares in ANSWERS.items()}
    many = meaning.of_answer(more, "positive", 0.2)
    assert few
    assert many
    assert many.share == few.share
    assert few.low < many.low < many.high < few.high


@pytest.mark.parametrize("answers", [{}, {"pneumonia": ANSWERS["pneumonia"]}])
def test_without_measurements_there_is_no_predictive_value(answers):
    assert meaning.of_answer(answers, "positive", 0.2) is None
    assert meaning.of_answer(ANSWERS, "unusable", 0.2) is None


# --- how frequent pneumonia is --------------------------------------------------------------------------------------


def make_reviewed(department: Department, reader: User, group: str, verdicts: list[str], unread: int = 0) -> None:
    """Create images with an answer: one for each verdict, and some that nobody has reviewed."""
    now = timezone.now()
    images = Image.objects.bulk_create(
        Image(
            department=department, filename="a.jpg", size=1, status=Status.SUCCEEDED, group=group, dispatched_at=now,
            created_at=now + timedelta(seconds=number),
        )
        for number in range(len(verdicts) + unread)
    )  # fmt: skip
    Review.objects.bulk_create(
        Review(image=image, reviewer=reader, verdict=verdict) for image, verdict in zip(images, verdicts, strict=False)
    )


@pytest.fixture
def department(make_department: Callable[..., Department], user: User) -> Department:
    return make_department("radiology", reader=user)


def test_without_verdicts_the_prevalence_is_assumed_or_set_by_a_manager(department):
    assert prevalence.of(None) == prevalence.of(department) == prevalence.Prevalence(0.2)
    department.prevalence = 5
    assert prevalence.of(department) == prevalence.Prevalence(0.05, chosen=True)


def test_enough_verdicts_give_the_prevalence_even_if_suspicious_images_are_read_first(department, user):
    make_reviewed(department, user, "positive", ["PNEUMONIA"] * 72 + ["NORMAL"] * 8)
    make_reviewed(department, user, "negative", ["NORMAL"] * 18 + ["PNEUMONIA"] * 2 + ["UNSURE"] * 5, unread=95)
    department.prevalence = 5
    found = prevalence.of(department)
    # 80 of the 200 images are positive, and 90 % of them have pneumonia. So do 10 % of the other 120.
    assert found.share == pytest.approx((80 * 0.9 + 120 * 0.1) / 200)
    assert (found.verdicts, found.chosen) == (100, False)


def test_too_few_verdicts_do_not_give_the_prevalence(department, user):
    make_reviewed(department, user, "positive", ["PNEUMONIA"] * 99)
    assert not prevalence.of(department).verdicts
    make_reviewed(department, user, "positive", ["NORMAL"])
    assert prevalence.of(department).verdicts == 100
    make_reviewed(department, user, "negative", ["NORMAL"] * 9, unread=50)
    assert not prevalence.of(department).verdicts, "too few of the negative images have a verdict"


def test_only_the_latest_images_count_and_readers_who_disagree_count_half(department, user, monkeypatch):
    monkeypatch.setattr(prevalence, "LATEST", 100)
    make_reviewed(department, user, "positive", ["NORMAL"] * 100)
    Image.objects.update(created_at=timezone.now() - timedelta(days=9))
    make_reviewed(department, user, "positive", ["PNEUMONIA"] * 100)
    assert prevalence.of(department).share > 0.99
    other = User.objects.create_user("bob")
    latest = Image.objects.order_by("-created_at")[:50]
    Review.objects.bulk_create(Review(image=image, reviewer=other, verdict="NORMAL") for image in latest)
    assert prevalence.of(department).share == pytest.approx(0.75)


def test_other_departments_verdicts_do_not_count(department, make_department, user):
    make_reviewed(make_department("surgery"), user, "positive", ["PNEUMONIA"] * 100)
    assert not prevalence.of(department).verdicts


# --- the page -------------------------------------------------------------------------------------------------------


def page(read: Callable[..., None], client: Any, pneumonia: float = 0.9, **fields: Any) -> str:
    image = Image.objects.get(pk=client.upload(**fields).json()["id"])
    read(image, pneumonia=pneumonia)
    return str(client.get(image.get_absolute_url()).content.decode())


def words(html: str) -> str:
    """The section's text."""
    [section] = re.findall(r'<section class="meaning".*?</section>', html, re.DOTALL)
    return unescape(" ".join(re.sub(r"<[^>]*>", "", section).split()))


def areas(html: str) -> list[float]:
    """The areas inside the two paths of the picture of a hundred children, in its units: first the sick ones."""
    [[y, x, below]] = re.findall(r'd="M0 0H400V(\d+)H(\d+)V(\d+)H0z"', html)
    [others] = re.findall(r'd="M400 120V(\d+)H(\d+)V(\d+)H0V120z"', html)
    assert others == (y, x, below), "both paths share their border"
    sick = 400 * int(y) + int(x) * (int(below) - int(y))
    return [sick, 400 * 120 - sick]


@pytest.mark.parametrize(
    ("pneumonia", "sentence", "sick"),
    [(0.9, "about 96 have pneumonia (80 to 99)", 96), (0.3, "about 33 have", 33), (0.1, "about 1 has pneumonia", 1)],
)
def test_the_page_shows_the_meaning_in_words_and_as_a_hundred_children(
    client, read, measured, pneumonia, sentence, sick
):
    html = page(read, client, pneumonia)
    assert sentence in words(html)
    assert "This assumes that 20 of 100 X-rayed children have pneumonia" in words(html)
    assert "measured on 500 X-rays" in words(html)
    # Twenty children in a row, each 20 wide and 24 high. One path goes around the sick ones, one around the others.
    assert [round(area / (20 * 24)) for area in areas(html)] == [sick, 100 - sick]
    assert "style=" not in html, "the content security policy forbids inline styles"


@pytest.mark.parametrize(
    ("share", "low", "high", "number", "span"),
    [
        (0.0021, 0.0004, 0.0121, "fewer than 1 has pneumonia", " (<1 to 1)"),
        (0.0021, 0.0004, 0.0041, "fewer than 1 has pneumonia", ""),
        (0.005, 0.0004, 0.0121, "fewer than 1 has pneumonia", " (<1 to 1)"),
        (0.995, 0.985, 0.9989, "more than 99 have pneumonia", " (98 to >99)"),
    ],
)
def test_a_share_is_never_shown_as_none_or_all(client, read, measured, monkeypatch, share, low, high, number, span):
    monkeypatch.setattr(meaning, "of_answer", lambda *_: meaning.Meaning(share, low, high, 500))
    html = page(read, client)
    assert f"Of 100 children with this answer, {number}{span}." in words(html)
    assert f'aria-label="100 children, of whom {number}"' in html


def test_the_page_says_where_the_prevalence_comes_from(user, department, read, measured):
    department.memberships.update(role="manager")
    browser = Client()
    browser.force_login(user)
    changed = browser.patch(
        f"/api/v1/departments/{department.slug}/", {"prevalence": 5}, content_type="application/json"
    )
    assert changed.json()["prevalence"] == 5
    text = words(page(read, browser, department=department.slug))
    assert "Of 100 children with this answer in Radiology, about 83 have pneumonia" in text
    assert "In Radiology 5 of 100 X-rayed children have pneumonia, as its managers have set it" in text
    make_reviewed(department, user, "positive", ["PNEUMONIA"] * 50 + ["NORMAL"] * 50)
    assert "by the readers' verdicts on 100 of its latest images" in words(page(read, browser, department="radiology"))


@pytest.mark.parametrize("percent", [0, 100, -1, 2.5, "many"])
def test_an_invalid_prevalence_is_refused(user, department, percent, problem):
    department.memberships.update(role="manager")
    browser = Client()
    browser.force_login(user)
    url = f"/api/v1/departments/{department.slug}/"
    problem(browser.patch(url, {"prevalence": percent}, content_type="application/json"), 400, "invalid_request")


def test_a_manager_sets_the_prevalence_on_the_page(user, department):
    department.memberships.update(role="manager")
    browser = Client()
    browser.force_login(user)
    url = f"/departments/{department.slug}/settings/"
    assert "Pneumonias among 100 children X-rayed here" in browser.get(url).content.decode()
    browser.post(url, {"name": "Radiology", "share": 1, "prevalence": 12})
    department.refresh_from_db()
    assert department.prevalence == 12


def test_a_model_without_measurements_has_no_such_section(client, read):
    assert "What this answer means" not in page(read, client)
    Bundle.objects.create(name=BUNDLE)
    assert "What this answer means" not in page(read, client)


def test_a_shared_link_shows_the_meaning_and_no_codes(client, user, user_client, read, measured):
    image = Image.objects.get(pk=user_client.upload().json()["id"])
    read(image, warnings=({"code": "borders_removed", "detail": "Borders were cut off."},))
    _, token = sharing.share_by_link(Identity(user=user), image, 1)
    html = client.get(f"/shared/{token}/").content.decode()
    assert "about 96 have pneumonia" in words(html)
    assert "<strong>Not for</strong> adults" in html
    assert "Borders were cut off." in html
    for code in ("borders_removed", "balanced", PASSWORD):
        assert code not in html
