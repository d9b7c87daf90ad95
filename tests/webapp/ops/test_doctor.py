"""The doctor finds what is wrong, and says what to do."""

import io
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage, storages
from django.core.management import call_command
from django.utils import timezone

from ml.inference import engines
from webapp.ops import checks, clocks, doctor, model_files
from webapp.ops.findings import Finding
from webapp.ops.models import Worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """An installation in which all is well."""
    monkeypatch.setattr(checks.dispatch, "check_broker", lambda: None)
    monkeypatch.setattr(clocks, "of_redis", lambda: timezone.now().timestamp())
    settings.MODEL_BUNDLE = "vgg16-pneumonia"
    for role in ("ingest", "bulk", "infer", "deliver"):
        Worker.objects.create(name=role, role=role, model="net-1", ready=True, seen_at=timezone.now() + timedelta(1))


def bad() -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor.everything() if not finding.ok}


def test_all_is_well() -> None:
    assert bad() == {}
    out = io.StringIO()
    call_command("doctor", stdout=out)
    assert out.getvalue().count("ok  ") == 13
    assert list(Path(default_storage.location).rglob("doctor/*")) == [], "the doctor's test file is deleted"


def test_a_missing_dicom_listener_is_reported_if_a_port_is_set(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.DICOM_PORT = other.getsockname()[1]
        assert "Another program listens at port" in bad()["dicom"].message
    assert "Nothing listens for DICOM" in bad()["dicom"].message
    Worker.objects.create(name="dicom", role="dicom", ready=True, seen_at=timezone.now())
    assert "dicom" not in bad()


def test_a_wrong_operating_point_is_explained_and_exits_with_2(settings: Any) -> None:
    settings.OPERATING_POINT = "sideways"
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", stdout=out)
    assert ended.value.code == 2
    [line] = [line for line in out.getvalue().splitlines() if line.startswith("BAD")]
    assert "has no operating point 'sideways'; it has" in line
    assert "Correct MODEL_BUNDLE, OPERATING_POINT" in out.getvalue()


@pytest.mark.parametrize(
    ("name", "message"),
    [("abacus", "ENGINE=abacus is not an engine."), ("keras", "ENGINE=keras needs keras, which is not")],
)
def test_an_engine_that_is_unknown_or_not_installed_is_found_before_the_start(
    settings: Any, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    settings.ENGINE = name
    [found] = [finding for finding in doctor.before_start() if not finding.ok]
    assert found.name == "engine"
    assert found.message.startswith(message)
    settings.MODELS_DIR = Path("elsewhere")
    assert ("engine" in bad()) == (name == "abacus"), "the package is needed only where images are read"


def test_the_doctor_knows_every_engine_and_its_package() -> None:
    assert {name: package for name, package in doctor.ENGINES.items() if package} == {
        name: kind.packages[0] for name, kind in engines.ENGINES.items()
    }


def test_without_model_files_the_workers_name_the_model(settings: Any, tmp_path: Path) -> None:
    settings.MODELS_DIR = tmp_path / "none"
    assert "net-1" in next(one for one in doctor.everything() if one.name == "model").message
    Worker.objects.all().delete()
    assert "infer worker" in bad()["model"].todo


def test_the_check_of_workers_names_the_engine_in_use() -> None:
    Worker.objects.filter(role="infer").update(engine="mnn")
    assert next(one for one in doctor.everything() if one.name == "workers").message.endswith("in use: mnn")


def test_the_checks_before_a_start_do_not_query_the_database(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        doctor.before_start()


def test_missing_weights_are_found(settings: Any, tmp_path: Path) -> None:
    folder = tmp_path / "chest-1.0.0"
    folder.mkdir()
    (folder / "bundle.json").write_text('{"name": "chest", "version": "1.0.0"}')
    with pytest.raises(model_files.NoModelError, match=r"weights\.npz is missing"):
        model_files.check(str(folder))
    (folder / "bundle.json").write_text("{")
    with pytest.raises(model_files.NoModelError, match="cannot be read"):
        model_files.check(str(folder))


def test_an_unreachable_broker_and_missing_workers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ConnectionError

    monkeypatch.setattr(checks.dispatch, "check_broker", refuse)
    Worker.objects.filter(role__in=("infer", "bulk")).delete()
    found = bad()
    assert "REDIS_URL" in found["broker"].todo
    assert "not ready: bulk, infer." in found["workers"].message


def test_a_storage_that_cannot_be_written_to_is_found(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(storages["default"]), "save", full)
    assert "No space left" in bad()["storage"].message


def test_a_clock_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "of_redis", lambda: timezone.now().timestamp() - 90)
    assert "by 90 s: Redis." in bad()["clock"].message


def test_only_checks_that_must_pass_run_before_a_start(settings: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):  # no tables exist before the first start
        assert [finding.name for finding in doctor.before_start()] == ["settings", "model", "engine", "storage"]
    settings.S3_BUCKET = "xray"
    assert [finding.name for finding in doctor.before_start()] == ["settings", "model", "engine"]


def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_BYTES", 2**62)
    monkeypatch.setattr(doctor, "FREE_PART", 1.0)
    assert "Free some space" in bad()["disk"].todo


def test_mail_and_certificate_are_checked_if_they_are_set(settings: Any, tmp_path: Path) -> None:
    settings.EMAIL_URL, settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp://127.0.0.1:1", "127.0.0.1", 1
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.TLS_CERTIFICATE = str(tmp_path / "none.pem")
    found = bad()
    assert "EMAIL_URL" in found["mail"].todo
    assert "cannot be read" in found["certificate"].message


def test_the_page_shows_the_same_findings(
    staff_client: Any, client: Any, django_user_model: Any, settings: Any
) -> None:
    chief = django_user_model.objects.create_superuser("chief")
    client.force_login(chief, backend=settings.AUTHENTICATION_BACKENDS[-1])
    assert "All is well." in client.get("/queue/doctor/").content.decode()
    settings.OPERATING_POINT = "sideways"
    page = client.get("/queue/doctor/").content.decode()
    assert "1 of 13 checks found a problem." in page
    assert "sideways" in page


def test_the_page_is_translated_into_nepali(client: Any, django_user_model: Any, settings: Any) -> None:
    chief = django_user_model.objects.create_superuser("chief")
    client.force_login(chief, backend=settings.AUTHENTICATION_BACKENDS[-1])
    settings.OPERATING_POINT = "sideways"
    page = client.get("/queue/doctor/", headers={"accept-language": "ne"}).content.decode()
    for english in ("Migrations", "answers", "Correct MODEL_BUNDLE", "is not set", "are free"):
        assert english not in page, english
