"""The PDF report of a result: the contents of its one page, and who may get it."""

import logging
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

from tests.webapp.clients import JPEG, Client
from webapp.accounts.identity import Identity, make_token
from webapp.audit.models import Entry
from webapp.dashboard.report import pdf
from webapp.reviews.models import Review
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient
from webapp.studies.services import bundles

pytestmark = pytest.mark.django_db

MAP = bytes(range(196))


@pytest.fixture
def make(make_image: Any, read: Any, user: User) -> Any:
    """Make an image that the model has read."""

    def make_read_image(pneumonia: float = 0.9, warnings: list[dict[str, str]] | None = None, **fields: Any) -> Image:
        owner = {} if "guest" in fields else {"owner": user}
        image: Image = make_image(Status.READY, **{"width": 160, "height": 120, **owner, **fields})
        Image.objects.filter(pk=image.pk).update(preview=image.file.name)
        read(image, pneumonia=pneumonia, heatmap=MAP, warnings=warnings or [])
        image.refresh_from_db()
        return image

    return make_read_image


class Report:
    """A PDF as a viewer program reads it."""

    def __init__(self, answer: Any):
        assert answer.status_code == 200, answer.content
        assert answer["Content-Type"] == "application/pdf"
        self.document = pypdfium2.PdfDocument(answer.content)
        assert len(self.document) == 1
        self.page = self.document[0]
        self.letters = self.page.get_textpage()
        self.text = " ".join(self.letters.get_text_range().split())

    @property
    def pictures(self) -> int:
        return len(list(self.page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE])))

    def height_of(self, text: str) -> float:
        """Points above the bottom of the page."""
        index, _ = self.letters.search(text).get_next()
        return float(self.letters.get_charbox(index)[1])


def report(client: Client, image: Image) -> Report:
    return Report(client.get(f"/api/v1/images/{image.pk}/report.pdf"))


@pytest.mark.parametrize(
    ("pneumonia", "finding", "score"),
    [
        pytest.param(0.9, "Signs of pneumonia", "90.0 %", marks=pytest.mark.long),
        (0.3, "Unclear: have it read first", "30.0 %"),
        (0.05, "No signs of pneumonia found", "5.0 %"),
    ],
)
def test_a_report_of_a_usable_result_has_its_score_heatmap_and_model(
    user_client: Client, make: Any, pneumonia: float, finding: str, score: str
) -> None:
    found = report(user_client, make(pneumonia))
    for text in (
        finding, f"{score} model's score for pneumonia", "Below 20.0 % no signs were found; from 50.0 % up",
        "Model: net-1.0.0", "Operating point: balanced, from 50.0 % up", "This is not a diagnosis.", "Not for adults",
        "Orange: the parts that raised",
    ):  # fmt: skip
        assert text in found.text, text
    assert found.pictures == 2
    assert ("does not rule pneumonia out" in found.text) is (pneumonia == 0.05)


def test_a_report_writes_the_bounds_with_as_many_decimals_as_the_score(user_client: Client, make: Any) -> None:
    found = report(user_client, make(0.4998))
    for text in ("49.98 % model's score", "Below 20.00 % no signs were found; from 50.00 %", "balanced, from 50.00 %"):
        assert text in found.text, text


def test_a_report_of_an_unusable_result_has_neither_score_nor_heatmap(user_client: Client, make: Any) -> None:
    detail = "This does not look like a chest X-ray."
    found = report(user_client, make(0.87, [{"code": "not_chest_xray", "detail": detail}]))
    for text in ("Probably not a usable chest X-ray", detail, "answer is not shown", "This is not a diagnosis."):
        assert text in found.text, text
    for text in ("%", "Orange", "Signs of", "children"):
        assert text not in found.text, text
    assert found.pictures == 1


def test_a_report_says_what_the_predictive_value_assumes(user_client: Client, make: Any) -> None:
    shares = {"images": 100, "unclear": 0.1}
    answers = {
        "pneumonia": {**shares, "positive": 0.88, "negative": 0.02},
        "normal": {**shares, "positive": 0.02, "negative": 0.88},
    }
    bundles.keep("net-1.0.0", answers)
    text = report(user_client, make()).text
    for words in (
        "Of 100 children with this answer", "This assumes that 20 of 100 X-rayed children have pneumonia.",
        "measured on 200 X-rays from the hospital where it was trained. Elsewhere it is wrong more often.",
    ):  # fmt: skip
        assert words in text, words


def test_a_report_names_the_patient_the_image_and_its_warnings(user_client: Client, make: Any, user: User) -> None:
    patient = Patient.objects.create(
        owner=user, identifier="P-17", name="Asha Gurung", birth_date="2023-02-01", sex="F"
    )
    warnings = [{"code": "borders_removed", "detail": "A border was cut off."}]
    image = make(
        0.9, warnings, patient=patient, age_years=2.5, view="AP", comment="Cough\nfor a week", filename="a.png"
    )
    found = report(user_client, image)
    for text in (
        "Patient: P-17 · Asha Gurung", "Born: 1 Feb 2023", "Sex: female", "Age: 30 months",
        "View: frontal, from the front",
        "Comment: Cough for a week", "File: a.png", "A border was cut off.", str(image.pk),
    ):  # fmt: skip
        assert text in found.text, text


def test_a_guests_report_has_no_verdicts(user_client: Client, make: Any, user: User, guest: Identity) -> None:
    own, guests = make(), make(guest=guest.guest)
    for image in (own, guests):
        Review.objects.create(image=image, reviewer=user, verdict="NORMAL", comment="Clear lungs.")
    readers_text = report(user_client, own).text
    assert "Readers' verdicts Normal, by ada" in readers_text
    assert "Clear lungs." in readers_text
    assert guest.guest
    guest_client = Client(headers={"X-Job-Token": make_token(guest.guest)})
    assert "Clear lungs." not in report(guest_client, guests).text


@pytest.mark.long
def test_letters_of_any_script_are_printed_or_replaced_and_never_logged(
    user_client: Client, make: Any, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    patient = Patient.objects.create(owner=user, identifier="É-9", name="आशा गुरुङ Ñandú Đặng Ψυχή Жанна")
    image = make(patient=patient, comment="مرحبا 患者 🫁 שלום\u200d", filename="ไทย.jpg")
    found = report(user_client, image)
    for text in ("É-9", "आशा", "Ñandú Đặng Ψυχή Жанна", "stands for a letter that is not in this report's font"):
        assert text in found.text, text
    assert "患" not in found.text
    assert not [record for record in caplog.records if record.name.startswith(("fontTools", "fpdf"))]
    assert "stands for a letter" not in report(user_client, make()).text


@pytest.mark.long
def test_long_texts_stay_on_the_page(user_client: Client, make: Any, user: User) -> None:
    patient = Patient.objects.create(owner=user, identifier="P" * 128, name="N" * 255)
    warnings = [{"code": f"code_{number}", "detail": "There is much to be said. " * 20} for number in range(4)]
    image = make(
        0.9, warnings, patient=patient, comment="words " * 80, filename="f" * 250 + ".jpg", width=120, height=900
    )
    for number in range(5):
        reader = User.objects.create_user(f"reader-{number}-{'x' * 100}")
        Review.objects.create(image=image, reviewer=reader, verdict="UNSURE", comment="and more " * 100)
    found = report(user_client, image)
    assert "There are more verdicts" in found.text
    line = 29 / 25.4 * 72
    assert found.height_of(f"Image: {str(image.pk)[:8]}") > line
    assert found.height_of("For trained staff, in addition to") < line


def test_only_those_who_may_see_an_image_get_its_report(
    client: Client, user_client: Client, user: User, make: Any, make_image: Any, problem: Any
) -> None:
    image = make(filename="chest: 1.jpeg")
    Entry.objects.all().delete()
    api, page = f"/api/v1/images/{image.pk}/report.pdf", f"/images/{image.pk}/report.pdf"
    problem(client.get(api), 404, "not_found")
    assert client.get(page).status_code == 404
    assert not Entry.objects.exists()
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[-1])
    answer = client.get(page)
    assert Report(answer).pictures == 2
    assert answer["Content-Disposition"] == 'inline; filename="report chest- 1.jpeg.pdf"'
    assert answer["Cache-Control"] == "private, no-store"
    entry = Entry.objects.get(action="download")
    assert (entry.action, entry.object_id, entry.details) == ("download", str(image.pk), '{"file": "report"}')
    assert 'href="/images/' in client.get(image.get_absolute_url()).content.decode()
    waiting = make_image(Status.READY, owner=user)
    problem(user_client.get(f"/api/v1/images/{waiting.pk}/report.pdf"), 409, "not_read_yet")
    assert "report.pdf" not in client.get(waiting.get_absolute_url()).content.decode()


@pytest.mark.long
def test_a_report_without_its_picture_has_everything_else(user_client: Client, make: Any) -> None:
    image = make()
    default_storage.delete(str(image.file.name))
    found = report(user_client, image)
    assert found.pictures == 0
    assert "The picture is no longer available." in found.text
    assert "90.0 %" in found.text


@pytest.mark.long
def test_a_preview_is_turned_by_its_orientation_as_in_browsers(user_client: Client, make: Any) -> None:
    """A file with an EXIF orientation may be used as its own preview."""
    from io import BytesIO

    from PIL import Image as Picture

    image = make(width=120, height=160)
    turned, exif = BytesIO(), Picture.Exif()
    exif[0x112] = 6
    Picture.open(BytesIO(JPEG)).save(turned, "JPEG", exif=exif)
    name = default_storage.save("previews/turned.jpg", ContentFile(turned.getvalue()))
    Image.objects.filter(pk=image.pk).update(preview=name)
    (first, _) = report(user_client, image).page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE])
    left, bottom, right, top = first.get_bounds()
    assert top - bottom > right - left


def test_the_font_is_installed_with_its_package() -> None:
    assert Path(str(pdf.FONT)).is_file()


@pytest.mark.long
def test_the_page_gives_the_report_in_its_language_and_the_api_in_english(
    user_client: Client, client: Any, user: User, make: Any
) -> None:
    image = make()
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[-1])
    nepali = client.get(f"{image.get_absolute_url()}report.pdf", headers={"Accept-Language": "ne"})
    assert "छातीको एक्स-रेको" in Report(nepali).text
    answer = user_client.get(f"/api/v1/images/{image.pk}/report.pdf", headers={"Accept-Language": "ne"})
    assert "report of a chest X-ray" in Report(answer).text
