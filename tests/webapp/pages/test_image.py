"""The page of an image, from its upload to its result."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings as configured
from django.test import Client
from django.utils import timezone

from tests.asgi import browse
from tests.webapp.pages.conftest import image, read
from tests.webapp.rows import MODEL, claim, make_reading, result
from webapp.accounts.identity import make_token
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import reading

pytestmark = pytest.mark.django_db


def test_the_page_of_a_result_shows_what_a_guest_needs(browser: Client, guest: UUID) -> None:
    patient = Patient.objects.create(guest=guest, identifier="P-17")
    xray = read(guest, patient=patient, width=1300, height=1100, attempts=2)
    html = browser.get(xray.get_absolute_url()).content.decode()
    for text in (
        "Signs of pneumonia", "91.3 %", "signs from 40.0 %", "vgg16-pneumonia-1.0.0", "chest.jpeg", "P-17",
        "1300 × 1100", "The image is much wider", "This is not a diagnosis", "Not for",
        f"/api/v1/images/{xray.pk}/preview/", f"/api/v1/images/{xray.pk}/input/",
    ):  # fmt: skip
        assert text in html, text
    assert "hx-get" not in html
    assert "does not rule pneumonia out" not in html
    for code in ("unusual_shape", "balanced", "0.25 s"):
        assert code not in html, "a guest sees no codes"


def test_the_codes_and_times_of_a_result_are_shown_to_users_with_an_account(browser: Client, user) -> None:
    browser.force_login(user)
    xray = read(None, owner=user, attempts=2)
    html = browser.get(xray.get_absolute_url()).content.decode()
    for text in (
        "<code>unusual_shape</code>", "0.25 s, with 2 others", "<dt>Attempts</dt><dd>2</dd>",
        "<dd>40.0 %, operating point <code>balanced</code></dd>",
    ):  # fmt: skip
        assert text in html, text
    assert html.index("Not for") < html.index('<dl class="facts">'), "the intended use comes before the table"


def test_the_intended_use_is_on_every_page_with_results(browser: Client, user) -> None:
    browser.force_login(user)
    patient = Patient.objects.create(owner=user, identifier="P-17")
    study = Study.objects.create(owner=user, patient=patient)
    read(None, owner=user, study=study, patient=patient)
    read(None, owner=user)
    Image.objects.update(group="positive")
    for url in ("/", "/images/", "/studies/", study.get_absolute_url(), patient.get_absolute_url()):
        html = browser.get(url).content.decode()
        assert html.index("<strong>Not for</strong> adults") < html.index('<span class="tag positive">'), url


def test_times_are_in_the_servers_time_zone_until_a_script_converts_them(browser: Client, guest: UUID) -> None:
    xray = read(guest)
    Image.objects.filter(pk=xray.pk).update(created_at=datetime(2026, 3, 1, 23, 30, 5, tzinfo=UTC))
    with timezone.override(ZoneInfo("Asia/Kathmandu")):
        html = browser.get(xray.get_absolute_url()).content.decode()
    text = "2 Mar 2026, 05:15:05 +0545</time>"
    assert f'<time class="moment seconds" datetime="2026-03-02T05:15:05+05:45">{text}' in html
    assert "dashboard/times.js" in html


def test_a_normal_result_says_that_it_does_not_rule_pneumonia_out(browser: Client, guest: UUID) -> None:
    html = browser.get(read(guest, probability=0.05).get_absolute_url()).content.decode()
    assert "No signs of pneumonia found" in html
    assert "does not rule pneumonia out" in html


def test_a_failed_image_shows_its_error_message(browser: Client, guest: UUID) -> None:
    xray = image(guest, Status.FAILED, error_code="image_truncated", error_detail="The image ends <too> early.")
    html = browser.get(xray.get_absolute_url()).content.decode()
    assert "The image ends &lt;too&gt; early." in html
    assert "image_truncated" not in html
    assert "hx-get" not in html


def test_a_waiting_image_polls_and_can_be_cancelled(browser: Client, guest: UUID) -> None:
    xray = image(guest)
    html = browser.get(xray.get_absolute_url()).content.decode()
    assert f'hx-get="/images/{xray.pk}/card/?wait=10&amp;seen=queued"' in html
    assert "Cancel" in html
    answer = browser.post(f"{xray.get_absolute_url()}cancel/")
    assert answer["Location"] == xray.get_absolute_url()
    xray.refresh_from_db()
    assert xray.status == Status.CANCELLED
    assert "hx-get" not in browser.get(xray.get_absolute_url()).content.decode()


def test_the_card_answers_at_once_if_the_status_has_changed(browser: Client, guest: UUID) -> None:
    xray = image(guest, Status.RUNNING)
    html = browser.get(f"{xray.get_absolute_url()}card/?wait=30&seen=queued").content.decode()
    assert "seen=running" in html
    assert "<html" not in html


@pytest.mark.django_db(transaction=True)
def test_the_card_waits_for_the_result_and_then_stops_polling(guest: UUID) -> None:
    xray = image(guest)

    async def scenario(client) -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer = asyncio.create_task(client.get(f"{xray.get_absolute_url()}card/?wait=30&seen=queued"))
        await asyncio.sleep(0.5)
        assert not answer.done()
        await Image.objects.filter(pk=xray.pk).aupdate(
            status=Status.FAILED, error_code="image_corrupt", error_detail="It is damaged.", finished_at=timezone.now()
        )
        return (await answer).text, loop.time() - started

    html, seconds = browse(scenario, Cookie=f"{configured.GUEST_COOKIE}={make_token(guest)}")
    assert "It is damaged." in html
    assert "hx-get" not in html
    assert seconds < 10


@pytest.mark.django_db(transaction=True)
def test_the_card_gives_up_waiting_and_has_the_page_poll_again(guest: UUID) -> None:
    url = f"{image(guest).get_absolute_url()}card/?wait=0.3&seen=queued"
    answer = browse(lambda client: client.get(url), Cookie=f"{configured.GUEST_COOKIE}={make_token(guest)}")
    assert "hx-get" in answer.text


def test_services_and_pages_agree_on_what_is_final(browser: Client, guest: UUID) -> None:
    xray = image(guest, Status.READY)
    make_reading(xray)
    token, _ = claim(xray)
    assert reading.succeed(token, [result(xray.pk, 0.1)], MODEL, seconds=0.1) == 1
    html = browser.get(f"{xray.get_absolute_url()}card/?wait=30&seen=running").content.decode()
    assert "No signs of pneumonia found" in html
    assert "hx-get" not in html
