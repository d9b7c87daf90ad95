"""A manifest that is added to a study on its own, as the upload page sends it after all other files."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.webapp.clients import JPEG
from tests.webapp.resumable import begin
from tests.webapp.rows import make_reading
from tests.webapp.test_manifests import EXPECTED, TABLE, descriptions, zip_of
from webapp.studies.choices import WarningCode
from webapp.studies.models import Image, Reading


def by_form(client, study, table):
    return client.post(study["images_url"], {"files": [SimpleUploadedFile("Manifest.csv", table.encode())]})


def by_tus(client, study, table):
    return begin(client, len(table), table.encode(), filename="manifest.csv", study=study["id"])


@pytest.fixture(params=[by_form, by_tus])
def send(request, user_client):
    """Add a manifest to a study, and return the study as it is afterwards."""

    def act(study, table=TABLE):
        answer = request.param(user_client, study, table)
        assert answer.status_code in (201, 202), answer.content
        return user_client.get(study["url"]).json()

    return act


def test_it_describes_every_image_that_has_arrived(user_client, unpack_all, send):
    study = user_client.upload_study({"a.jpg": JPEG}, patient="P-0", more_to_come="true").json()
    user_client.post(study["images_url"], {"files": [SimpleUploadedFile("x.zip", zip_of({"c.jpg": JPEG}))]})
    unpack_all()
    user_client.post(study["images_url"], {"files": [SimpleUploadedFile("y.zip", zip_of({"b.jpg": JPEG}))]})
    after = send(study, TABLE + "c.jpg,P-3,,,,\ngone.jpg,P-9,,,,\n")
    unpack_all()
    assert descriptions() == {**EXPECTED, "c.jpg": ("P-3", None, None, None)}
    report = after["manifest"]
    assert after["total"] == 3
    assert (report["rows"], report["files"], report["rows_without_file"]["names"]) == (4, 3, ["gone.jpg"])
    assert report["files_without_row"]["count"] == 0


def test_names_are_ambiguous_even_if_the_files_arrived_separately(user_client, send):
    study = user_client.upload_study({"one \u2013 a.jpg": JPEG}, more_to_come="true").json()
    user_client.post(study["images_url"], {"files": [SimpleUploadedFile("two \u2013 a.jpg", JPEG)]})
    after = send(study)
    assert {row[0] for row in descriptions().values()} == {None}
    assert [warning["code"] for warning in after["manifest"]["warnings"]] == ["manifest_row_ambiguous"]


def test_existing_readings_get_the_warnings_that_it_causes(user_client, send):
    study = user_client.upload_study({"b.jpg": JPEG}).json()
    make_reading(Image.objects.get())
    send(study)
    assert [warning["code"] for warning in Reading.objects.get().warnings] == [WarningCode.AGE_OUTSIDE_TRAINING]


def test_a_manifest_without_a_table_is_reported_and_nothing_fails(user_client, send):
    study = user_client.upload_study({"a.jpg": JPEG}).json()
    after = send(study, "name,patient\na.jpg,P-1\n")
    assert [error["code"] for error in after["manifest"]["errors"]] == ["manifest_unreadable"]
    assert after["total"] == 1
