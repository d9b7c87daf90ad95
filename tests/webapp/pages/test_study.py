"""The page of a study."""

import asyncio
import re
from uuid import UUID

import pytest
from django.conf import settings as configured
from django.test import Client
from django.utils import timezone

from tests.asgi import browse
from tests.webapp.pages.conftest import image, read
from webapp.accounts.identity import make_token
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Study

pytestmark = pytest.mark.django_db


def test_a_study_shows_counts_rows_and_zips_that_could_not_be_unpacked(browser: Client, guest: UUID) -> None:
    study = Study.objects.create(guest=guest, name="ward")
    read(guest, study=study, filename="a.jpeg")
    image(guest, study=study, filename="b.jpeg")
    image(guest, Status.FAILED, study=study, filename="c.jpeg", error_code="x", error_detail="It is damaged.")
    Archive.objects.create(
        study=study, filename="bad.zip", total=1, state="failed", error_code="archive_corrupt",
        error_detail="The ZIP cannot be read.", dispatched_at=timezone.now(),
    )  # fmt: skip
    html = browser.get(study.get_absolute_url()).content.decode()
    assert re.search(r"<strong>2 of 3</strong>", html)
    for text in ("ward", "91.3 %", "It is damaged.", "bad.zip: The ZIP cannot be read.", "Cancel"):
        assert text in html, text
    assert "archive_corrupt" not in html
    assert f"/api/v1/studies/{study.pk}/results.csv" in html
    assert "hx-get" in html


def test_a_finished_study_stops_polling(browser: Client, guest: UUID) -> None:
    study = Study.objects.create(guest=guest)
    read(guest, study=study)
    for url in (study.get_absolute_url(), f"{study.get_absolute_url()}progress/?wait=30&seen=1"):
        html = browser.get(url).content.decode()
        assert "1 of 1" in html
        assert "hx-get" not in html


def test_a_large_study_is_paged_and_polls_the_page_shown(browser: Client, guest: UUID) -> None:
    study = Study.objects.create(guest=guest)
    for number in range(51):
        image(guest, study=study, filename=f"{number:03}.jpeg")
    first = browser.get(study.get_absolute_url()).content.decode()
    assert "049.jpeg" in first
    assert "050.jpeg" not in first
    second = browser.get(f"{study.get_absolute_url()}?page=2").content.decode()
    assert "050.jpeg" in second
    assert "049.jpeg" not in second
    assert "page=2" in re.findall(r'hx-get="([^"]*)"', second)[0]


def test_cancelling_a_study_cancels_its_waiting_images(browser: Client, guest: UUID) -> None:
    study = Study.objects.create(guest=guest)
    waiting, done = image(guest, study=study), read(guest, study=study)
    browser.post(f"{study.get_absolute_url()}cancel/")
    waiting.refresh_from_db()
    done.refresh_from_db()
    assert (waiting.status, done.status) == (Status.CANCELLED, Status.SUCCEEDED)


@pytest.mark.django_db(transaction=True)
def test_progress_is_answered_once_more_images_are_done_than_the_page_shows(guest: UUID) -> None:
    study = Study.objects.create(guest=guest, name="ward")
    read(guest, study=study)
    waiting = image(guest, study=study)
    url = f"{study.get_absolute_url()}progress/?wait=20&seen="

    async def scenario(client) -> tuple[str, str]:
        news = await client.get(f"{url}0")
        answer = asyncio.create_task(client.get(f"{url}1"))
        await asyncio.sleep(0.5)
        assert not answer.done()
        await Image.objects.filter(pk=waiting.pk).aupdate(status=Status.FAILED, finished_at=timezone.now())
        return news.text, (await asyncio.wait_for(answer, 5)).text

    news, last = browse(scenario, Cookie=f"{configured.GUEST_COOKIE}={make_token(guest)}")
    assert "1 of 2" in news
    assert "2 of 2" in last
