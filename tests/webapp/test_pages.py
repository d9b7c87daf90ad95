"""The pages without a browser: what they show, to whom, and what works without JavaScript."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from tests import synthetic
from tests.asgi import browse
from tests.webapp.conftest import MODEL, claim, make_reading, result
from webapp.accounts.identity import make_token, read_token
from webapp.dashboard.templatetags import results
from webapp.http.problems import server_error
from webapp.refusals import Refused
from webapp.storage.folder import StorageUnavailable
from webapp.studies import dispatch
from webapp.studies.choices import ResultGroup, Status, group_of
from webapp.studies.models import Archive, Image, Patient, Study
from webapp.studies.services import cancellation, reading, uploads

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alone(settings, tmp_path, monkeypatch) -> list[tuple[str, list[UUID]]]:
    """No broker, no cache, no collected static files, and a folder of its own for uploads; the messages sent."""
    settings.STORAGES = {
        "default": {
            "BACKEND": "webapp.storage.folder.LocalStorage",
            "OPTIONS": {"location": str(tmp_path), "allow_overwrite": True},
        },
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(uuid4())},
        "process": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    }
    sent: list[tuple[str, list[UUID]]] = []
    monkeypatch.setattr(dispatch, "send", lambda step, images: sent.append((step, [image.pk for image in images])))
    monkeypatch.setattr(dispatch, "send_unpack", lambda archive, owned: sent.append((dispatch.UNPACK, [archive])))
    return sent


@pytest.fixture
def guest() -> UUID:
    return uuid4()


@pytest.fixture
def browser(guest: UUID) -> Client:
    """The guest's browser."""
    made = Client()
    made.cookies[configured.GUEST_COOKIE] = make_token(guest)
    return made


def other_user() -> Client:
    made = Client()
    made.cookies[configured.GUEST_COOKIE] = make_token(uuid4())
    return made


def image(guest: UUID | None, status: str = Status.QUEUED, **fields) -> Image:
    now = timezone.now()
    given = {"filename": "chest.jpeg", "file": "uploads/none.jpeg", "size": 1, "dispatched_at": now, **fields}
    return Image.objects.create(guest=guest, status=status, **given)


def read(guest: UUID | None, probability: float = 0.913, threshold: float = 0.4, **fields) -> Image:
    """An image with a result; unclear from a probability of 0.2 on."""
    now = timezone.now()
    points = {"balanced": threshold, "screening": 0.2}
    warnings = [{"code": "unusual_shape", "detail": "The image is much wider than a chest X-ray."}]
    own = {name: fields.pop(name) for name in ("heatmap", "warnings", "attempts") if name in fields}
    made = image(
        guest,
        Status.SUCCEEDED,
        preview="previews/none.jpg",
        ingest_started_at=now,
        finished_at=now + timedelta(seconds=2),
        **fields,
    )
    given = {"warnings": warnings, **own}
    make_reading(
        made,
        bundle="vgg16-pneumonia-1.0.0",
        state=Status.SUCCEEDED,
        input="inputs/none.png",
        ready_at=now + timedelta(seconds=0.5),
        claimed_at=now + timedelta(seconds=1),
        probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability},
        probability=probability,
        threshold=threshold,
        operating_point="balanced",
        operating_points=points,
        label="PNEUMONIA" if probability >= threshold else "NORMAL",
        group=group_of(probability, threshold, points, given["warnings"]),
        batch_size=3,
        seconds=0.25,
        **given,
    )
    return made


def upload(browser: Client, *files: tuple[str, bytes]):
    sent = [SimpleUploadedFile(name, content) for name, content in files]
    return browser.post("/upload/", {"files": sent})


# --- every page -----------------------------------------------------------------------------------------------------


def pages(guest: UUID) -> dict[str, str]:
    """A page of every kind, by what it is."""
    study = Study.objects.create(guest=guest, name="ward")
    read(guest, study=study)
    failed = image(guest, Status.FAILED, error_code="image_truncated", error_detail="The image ends too early.")
    return {
        "home": "/",
        "waiting": image(guest).get_absolute_url(),
        "read": read(guest).get_absolute_url(),
        "failed": failed.get_absolute_url(),
        "cancelled": image(guest, Status.CANCELLED, finished_at=timezone.now()).get_absolute_url(),
        "study": study.get_absolute_url(),
        "login": "/accounts/login/",
        "missing": f"/images/{uuid4()}/",
    }


def test_no_page_breaks_its_own_security_policy(browser: Client, guest: UUID) -> None:
    for kind, url in pages(guest).items():
        answer = browser.get(url)
        assert answer.status_code == (404 if kind == "missing" else 200), kind
        html = answer.content.decode()
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html), kind
        assert all("src=" in tag or 'type="application/json"' in tag for tag in re.findall(r"<script[^>]*>", html)), (
            kind
        )
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", html), kind
        assert "Not a diagnosis." in html, kind


def test_pages_are_not_kept_by_the_browser(browser: Client, guest: UUID) -> None:
    made = read(guest)
    for url in ("/", made.get_absolute_url(), f"{made.get_absolute_url()}card/"):
        assert "no-store" in browser.get(url).headers["Cache-Control"]


def test_pages_answer_head(browser: Client, guest: UUID) -> None:
    assert browser.head("/").status_code == 200
    assert browser.head(read(guest).get_absolute_url()).status_code == 200


def test_a_server_error_needs_nothing_of_the_request(rf) -> None:
    answer = server_error(rf.get("/", headers={"Accept": "text/html"}))
    assert answer.status_code == 500
    assert b"went wrong" in answer.content
    with connection.execute_wrapper(_no_queries):
        assert server_error(HttpRequest()).status_code == 500


def _no_queries(*_args) -> None:
    raise AssertionError("the error page asked the database")


# --- the start page -------------------------------------------------------------------------------------------------


def test_the_first_visit_makes_a_guest_and_later_ones_keep_it() -> None:
    browser = Client()
    browser.get("/")
    first = browser.cookies[configured.GUEST_COOKIE].value
    browser.get("/")
    assert read_token(browser.cookies[configured.GUEST_COOKIE].value) == read_token(first)
    assert browser.cookies[configured.GUEST_COOKIE]["httponly"]


def test_home_lists_what_the_guest_uploaded_only(browser: Client, guest: UUID) -> None:
    read(guest, filename="mine.jpeg")
    read(uuid4(), filename="other.jpeg")
    html = browser.get("/").content.decode()
    assert "mine.jpeg" in html
    assert "Signs of pneumonia" in html
    assert "other.jpeg" not in html


def test_home_of_staff_lists_their_own(admin_client: Client, admin_user: User, guest: UUID) -> None:
    read(guest, filename="guests.jpeg")
    read(None, filename="own.jpeg", owner=admin_user)
    html = admin_client.get("/").content.decode()
    assert "own.jpeg" in html
    assert "guests.jpeg" not in html


# --- uploading without JavaScript -----------------------------------------------------------------------------------


def test_one_image_leads_to_its_page(
    browser: Client, guest: UUID, alone: list, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = upload(browser, ("chest.jpeg", synthetic.xray_jpeg()))
    made = Image.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, made.get_absolute_url())
    assert (made.guest, made.filename, made.status) == (guest, "chest.jpeg", Status.QUEUED)
    assert alone == [(dispatch.INGEST, [made.pk])]
    assert browser.get(answer["Location"]).status_code == 200


def test_the_first_upload_of_all_can_be_seen_by_who_sent_it() -> None:
    browser = Client()
    answer = upload(browser, ("chest.jpeg", synthetic.xray_jpeg()))
    assert browser.get(answer["Location"]).status_code == 200


def test_several_files_and_a_zip_become_a_study(browser: Client) -> None:
    answer = upload(browser, ("a.jpeg", synthetic.xray_jpeg(1)), ("notes.jpg", synthetic.text()))
    study = Study.objects.get()
    assert answer["Location"] == study.get_absolute_url()
    assert sorted(study.images.values_list("status", flat=True)) == [Status.FAILED, Status.QUEUED]
    answer = upload(browser, ("ward.zip", synthetic.zip_of({"b.jpeg": synthetic.xray_jpeg(2)})))
    assert answer["Location"] == Archive.objects.get().study.get_absolute_url()


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [(synthetic.text(), 415, "This is a text file"), (synthetic.empty(), 400, "empty")],
)
def test_what_is_no_image_is_refused_with_a_sentence(
    browser: Client, content: bytes, status: int, sentence: str
) -> None:
    answer = upload(browser, ("notes.jpg", content))
    assert answer.status_code == status
    assert sentence in answer.content.decode()
    assert not Image.objects.exists()


def test_the_form_reports_an_unreachable_storage(browser: Client, monkeypatch) -> None:
    def away(*args, **fields):
        raise StorageUnavailable("the bucket does not answer")

    monkeypatch.setattr(uploads, "create_image", away)
    answer = upload(browser, ("chest.jpeg", synthetic.xray_jpeg()))
    assert answer.status_code == 503
    html = answer.content.decode()
    assert "The storage does not answer" in html
    assert 'type="file"' in html


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (StorageUnavailable("the bucket does not answer"), 503, "The storage does not answer"),
        (Refused("already_finished", "It has ended."), 409, "It has ended."),
    ],
)
def test_every_page_says_why_a_service_refuses(
    browser: Client, guest: UUID, monkeypatch, error: Exception, status: int, sentence: str
) -> None:
    def refuse(*args):
        raise error

    monkeypatch.setattr(cancellation, "cancel_image", refuse)
    answer = browser.post(f"{image(guest).get_absolute_url()}cancel/", headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert sentence in answer.content.decode()


def test_signing_out_empties_the_browser_s_cache(admin_client: Client) -> None:
    answer = admin_client.post("/accounts/logout/")
    assert answer.status_code == 302
    assert answer["Clear-Site-Data"] == '"cache"'


def test_an_empty_form_is_refused(browser: Client) -> None:
    answer = browser.post("/upload/")
    assert answer.status_code == 400
    assert "choose an image" in answer.content.decode()


def test_uploads_are_counted_like_the_api_s(browser: Client, monkeypatch) -> None:
    from webapp.studies.api.throttles import UploadThrottle

    monkeypatch.setattr(UploadThrottle, "THROTTLE_RATES", {"guest": "1/min", "user": "1/min"})
    assert upload(browser, ("a.jpeg", synthetic.xray_jpeg())).status_code == 302
    assert upload(browser, ("b.jpeg", synthetic.xray_jpeg())).status_code == 429
    assert Image.objects.count() == 1


def test_a_form_of_another_site_is_refused() -> None:
    assert upload(Client(enforce_csrf_checks=True), ("a.jpeg", synthetic.xray_jpeg())).status_code == 403


# --- an image -------------------------------------------------------------------------------------------------------


def test_a_result_has_all_that_one_needs(browser: Client, guest: UUID) -> None:
    patient = Patient.objects.create(guest=guest, identifier="P-17")
    made = read(guest, patient=patient, width=1300, height=1100, attempts=2)
    html = browser.get(made.get_absolute_url()).content.decode()
    for text in (
        "Signs of pneumonia", "91.3 %", "signs from 40.0 %", "vgg16-pneumonia-1.0.0", "chest.jpeg", "P-17",
        "1300 × 1100", "The image is much wider", "This is not a diagnosis", "Not for",
        f"/api/v1/images/{made.pk}/preview/", f"/api/v1/images/{made.pk}/input/",
    ):  # fmt: skip
        assert text in html, text
    assert "hx-get" not in html
    assert "does not rule pneumonia out" not in html
    for code in ("unusual_shape", "balanced", "0.25 s"):
        assert code not in html, "a guest reads words"


def test_the_codes_and_times_of_a_result_are_for_those_with_an_account(browser: Client, user) -> None:
    browser.force_login(user)
    made = read(None, owner=user, attempts=2)
    html = browser.get(made.get_absolute_url()).content.decode()
    for text in (
        "<code>unusual_shape</code>", "0.25 s, with 2 others", "<dt>Attempts</dt><dd>2</dd>",
        "<dd>40.0 %, operating point <code>balanced</code></dd>",
    ):  # fmt: skip
        assert text in html, text
    assert html.index("Not for") < html.index('<dl class="facts">'), "what it is for comes before the table"


def test_what_it_is_for_is_on_every_page_with_results(browser: Client, user) -> None:
    browser.force_login(user)
    patient = Patient.objects.create(owner=user, identifier="P-17")
    study = Study.objects.create(owner=user, patient=patient)
    read(None, owner=user, study=study, patient=patient)
    read(None, owner=user)
    Image.objects.update(group="positive")
    for url in ("/", "/images/", "/studies/", study.get_absolute_url(), patient.get_absolute_url()):
        html = browser.get(url).content.decode()
        assert html.index("<strong>Not for</strong> adults") < html.index('<span class="tag positive">'), url


def test_moments_are_the_server_s_until_a_script_makes_them_the_reader_s(browser: Client, guest: UUID) -> None:
    made = read(guest)
    Image.objects.filter(pk=made.pk).update(created_at=datetime(2026, 3, 1, 23, 30, 5, tzinfo=UTC))
    with timezone.override(ZoneInfo("Asia/Kathmandu")):
        html = browser.get(made.get_absolute_url()).content.decode()
    text = "2 Mar 2026, 05:15:05 +0545</time>"
    assert f'<time class="moment seconds" datetime="2026-03-02T05:15:05+05:45">{text}' in html
    assert "dashboard/times.js" in html


def test_a_normal_result_says_that_it_rules_nothing_out(browser: Client, guest: UUID) -> None:
    html = browser.get(read(guest, probability=0.05).get_absolute_url()).content.decode()
    assert "No signs of pneumonia found" in html
    assert "does not rule pneumonia out" in html


def test_a_failed_image_shows_its_sentence(browser: Client, guest: UUID) -> None:
    made = image(guest, Status.FAILED, error_code="image_truncated", error_detail="The image ends <too> early.")
    html = browser.get(made.get_absolute_url()).content.decode()
    assert "The image ends &lt;too&gt; early." in html
    assert "image_truncated" not in html
    assert "hx-get" not in html


def test_a_waiting_image_polls_and_can_be_cancelled(browser: Client, guest: UUID) -> None:
    made = image(guest)
    html = browser.get(made.get_absolute_url()).content.decode()
    assert f'hx-get="/images/{made.pk}/card/?wait=10&amp;seen=queued"' in html
    assert "Cancel" in html
    answer = browser.post(f"{made.get_absolute_url()}cancel/")
    assert answer["Location"] == made.get_absolute_url()
    made.refresh_from_db()
    assert made.status == Status.CANCELLED
    assert "hx-get" not in browser.get(made.get_absolute_url()).content.decode()


def test_the_card_answers_at_once_when_the_status_is_news(browser: Client, guest: UUID) -> None:
    made = image(guest, Status.RUNNING)
    html = browser.get(f"{made.get_absolute_url()}card/?wait=30&seen=queued").content.decode()
    assert "seen=running" in html
    assert "<html" not in html


@pytest.mark.django_db(transaction=True)
def test_the_card_waits_for_the_result_and_then_stops_asking(guest: UUID) -> None:
    made = image(guest)

    async def scenario(by) -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        answer = asyncio.create_task(by.get(f"{made.get_absolute_url()}card/?wait=30&seen=queued"))
        await asyncio.sleep(0.5)
        assert not answer.done()
        await Image.objects.filter(pk=made.pk).aupdate(
            status=Status.FAILED, error_code="image_corrupt", error_detail="It is damaged.", finished_at=timezone.now()
        )
        return (await answer).text, loop.time() - asked

    html, seconds = browse(scenario, Cookie=f"{configured.GUEST_COOKIE}={make_token(guest)}")
    assert "It is damaged." in html
    assert "hx-get" not in html
    assert seconds < 10


@pytest.mark.django_db(transaction=True)
def test_the_card_gives_up_waiting_and_has_the_page_ask_again(guest: UUID) -> None:
    url = f"{image(guest).get_absolute_url()}card/?wait=0.3&seen=queued"
    answer = browse(lambda by: by.get(url), Cookie=f"{configured.GUEST_COOKIE}={make_token(guest)}")
    assert "hx-get" in answer.text


@pytest.mark.django_db(transaction=True)
def test_a_study_s_progress_is_held_while_as_many_images_are_done_as_the_page_shows(guest: UUID) -> None:
    study = Study.objects.create(guest=guest, name="ward")
    read(guest, study=study)
    waiting = image(guest, study=study)
    url = f"{study.get_absolute_url()}progress/?wait=20&seen="

    async def scenario(by) -> tuple[str, str]:
        news = await by.get(f"{url}0")
        answer = asyncio.create_task(by.get(f"{url}1"))
        await asyncio.sleep(0.5)
        assert not answer.done()
        await Image.objects.filter(pk=waiting.pk).aupdate(status=Status.FAILED, finished_at=timezone.now())
        return news.text, (await asyncio.wait_for(answer, 5)).text

    news, last = browse(scenario, Cookie=f"{configured.GUEST_COOKIE}={make_token(guest)}")
    assert "1 of 2" in news
    assert "2 of 2" in last


# --- the map, and whether to rely on a result -----------------------------------------------------------------------


def explained(guest: UUID, *, values: bytes = b"", doubtful: bool = False, **fields) -> Image:
    """An image with a result, a map of these values, and perhaps the warning that it is no chest X-ray."""
    detail = "This does not look like a chest X-ray. Do not rely on the probability."
    warnings = [{"code": "not_chest_xray", "detail": detail}] if doubtful else []
    return read(guest, heatmap=values, warnings=warnings, **fields)


def test_a_result_with_a_map_has_a_switch_for_it(browser: Client, guest: UUID) -> None:
    made = explained(guest, values=bytes([0, 255, 9, 0]))
    html = browser.get(made.get_absolute_url()).content.decode()
    assert f"/api/v1/images/{made.pk}/heatmap.png" in html
    assert "Show what raised the score" in html
    for text in ("Look there first", "Light outside the lungs is a reason to distrust", 'class="map-scale"'):
        assert text in html
    assert "Next to nothing" not in html
    assert re.search(r'<input id="rests" type="checkbox" role="switch"', html)


def test_a_map_with_little_in_it_says_so(browser: Client, guest: UUID) -> None:
    html = browser.get(explained(guest, values=bytes([0, 63, 9, 0])).get_absolute_url()).content.decode()
    assert "Next to nothing here raised the model's score" in html


def test_a_result_without_a_map_has_no_switch(browser: Client, guest: UUID) -> None:
    html = browser.get(explained(guest).get_absolute_url()).content.decode()
    assert "heatmap.png" not in html
    assert "Show what raised the score" not in html


UNUSABLE = "Probably no usable chest X-ray"


def test_an_unusable_image_has_a_warning_and_neither_percentage_nor_map(browser: Client, guest: UUID) -> None:
    made = explained(guest, doubtful=True, probability=0.87, values=bytes([0, 255, 9, 0]))
    html = browser.get(made.get_absolute_url()).content.decode()
    order = ["does not look like a chest X-ray", f"<h1>{UNUSABLE}</h1>", "answer is not shown", '<figure class="film">']
    places = [html.index(text) for text in order]
    assert places == sorted(places)
    assert html.count("does not look like a chest X-ray") == 1
    for text in (
        "not_chest_xray", "What this answer means", "Signs of pneumonia", "87.0", 'class="figure"', 'class="scale"',
        "heatmap.png", "negative",
    ):  # fmt: skip
        assert text not in html, text
    news = browser.get(f"{made.get_absolute_url()}card/").content.decode().partition('id="news"')[2]
    assert UNUSABLE in news
    assert "87.0" not in news


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
    about = {"probability": probability, "threshold": 0.8598, "doubtful": doubtful}
    made, listed = explained(guest, **about), explained(guest, study=study, **about)
    points = {"balanced": 0.8598, "screening": 0.2311}
    for one in (made, listed):
        kept = one.reading
        assert kept
        kept.operating_points = points
        kept.group = group_of(probability, 0.8598, points, kept.warnings)
        kept.save()
    home = browser.get("/").content.decode()
    assert tags(home) == [(group, words)]
    assert (results.percent(probability) in home) is not doubtful
    table = browser.get(study.get_absolute_url()).content.decode()
    assert tags(table) == [(group, words)]
    assert (results.percent(probability) in table) is not doubtful
    page = browser.get(made.get_absolute_url()).content.decode()
    assert f'<header class="answer {group}">' in page
    assert f"<h1>{words}</h1>" in page
    assert ("does not rule pneumonia out" in page) is (group == "negative")


def test_styles_know_every_group() -> None:
    """Green stands for "negative" alone, and amber for what is unclear."""
    css = (Path(configured.ROOT) / "webapp/dashboard/static/dashboard/dashboard.css").read_text()
    colours = dict(re.findall(r"^\.tag\.([a-z]+) \{ background: var\(--([a-z]+)-soft\)", css, re.MULTILINE))
    assert colours == {"positive": "positive", "negative": "negative", "unclear": "warn"}
    script = (Path(configured.ROOT) / "webapp/dashboard/static/dashboard/upload-results.js").read_text()
    for group in ResultGroup:
        assert f'{group.value}: "{group.label}"' in script, "the script and the pages use the same words"


# --- a study --------------------------------------------------------------------------------------------------------


def test_a_study_shows_counts_rows_and_what_could_not_be_unpacked(browser: Client, guest: UUID) -> None:
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


def test_a_finished_study_asks_no_more(browser: Client, guest: UUID) -> None:
    study = Study.objects.create(guest=guest)
    read(guest, study=study)
    for url in (study.get_absolute_url(), f"{study.get_absolute_url()}progress/?wait=30&seen=1"):
        html = browser.get(url).content.decode()
        assert "1 of 1" in html
        assert "hx-get" not in html


def test_a_large_study_has_pages_and_stays_on_the_one_shown(browser: Client, guest: UUID) -> None:
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


def test_a_study_is_cancelled_with_all_that_wait(browser: Client, guest: UUID) -> None:
    study = Study.objects.create(guest=guest)
    waiting, done = image(guest, study=study), read(guest, study=study)
    browser.post(f"{study.get_absolute_url()}cancel/")
    waiting.refresh_from_db()
    done.refresh_from_db()
    assert (waiting.status, done.status) == (Status.CANCELLED, Status.SUCCEEDED)


# --- whose it is ----------------------------------------------------------------------------------------------------


def test_only_the_uploader_and_staff_see_anything(browser: Client, guest: UUID, admin_client: Client) -> None:
    study = Study.objects.create(guest=guest)
    made = image(guest, study=study)
    gets = [made.get_absolute_url(), f"{made.get_absolute_url()}card/", study.get_absolute_url()]
    gets.append(f"{study.get_absolute_url()}progress/")
    posts = [f"{made.get_absolute_url()}cancel/", f"{study.get_absolute_url()}cancel/"]
    user = Client()
    user.force_login(User.objects.create_user("nurse"))
    for other in (Client(), other_user(), user):
        assert {other.get(url).status_code for url in gets} == {404}
        assert {other.post(url).status_code for url in posts} == {404}
    made.refresh_from_db()
    assert made.status == Status.QUEUED
    for allowed in (browser, admin_client):
        assert {allowed.get(url).status_code for url in gets} == {200}


def test_a_forged_cookie_opens_nothing(guest: UUID) -> None:
    made = read(guest)
    browser = Client()
    browser.cookies[configured.GUEST_COOKIE] = f"{guest.hex}:forged"
    assert browser.get(made.get_absolute_url()).status_code == 404
    assert browser.get("/").status_code == 200


def test_a_user_s_uploads_are_theirs_in_every_browser() -> None:
    nurse = User.objects.create_user("nurse")
    browser = Client()
    browser.force_login(nurse)
    answer = upload(browser, ("chest.jpeg", synthetic.xray_jpeg()))
    assert Image.objects.get().owner == nurse
    elsewhere = Client()
    elsewhere.force_login(nurse)
    assert elsewhere.get(answer["Location"]).status_code == 200


def test_staff_find_the_admin_and_the_queues(admin_client: Client, browser: Client, settings) -> None:
    settings.FLOWER_URL = "/flower/"
    html = admin_client.get("/").content.decode()
    assert 'href="/admin/"' in html
    assert 'href="/queue/"' in html
    assert 'href="/flower/workers?refresh=1"' in admin_client.get("/queue/").content.decode()
    html = browser.get("/").content.decode()
    assert "/admin/" not in html
    assert "/queue/" not in html


# --- words and scales -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "< 0.1 %"), (0.0004, "< 0.1 %"), (0.5, "50.0 %"), (0.9994, "> 99.9 %"), (1.0, "> 99.9 %")],
)
def test_a_probability_is_never_0_or_100_percent(probability: float, text: str) -> None:
    assert results.percent(probability) == text


def test_the_scale_s_parts_make_a_whole_and_its_text_stays_inside() -> None:
    assert float(results.on_scale(0.3)) + float(results.beyond(0.3)) == results.SCALE
    assert 0 < float(results.on_scale_text(0.0)) < float(results.on_scale_text(1.0)) < results.SCALE


def test_time_in_both_queues_is_added_up(guest: UUID) -> None:
    made = read(guest)
    made.created_at = made.ingest_started_at - timedelta(seconds=2)
    assert results.waited(made) == "2.50 s"
    assert results.waited(image(guest)) == "–"


def test_services_and_pages_agree_on_what_is_final(browser: Client, guest: UUID) -> None:
    made = image(guest, Status.READY)
    make_reading(made)
    token, _ = claim(made)
    assert reading.succeed(token, [result(made.pk, 0.1)], MODEL, seconds=0.1) == 1
    html = browser.get(f"{made.get_absolute_url()}card/?wait=30&seen=running").content.decode()
    assert "No signs of pneumonia found" in html
    assert "hx-get" not in html
