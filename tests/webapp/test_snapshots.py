"""A study that is requested while its ZIP is unpacked: every response is consistent."""

import csv
import io
from contextlib import contextmanager
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from webapp.notifications import sending
from webapp.notifications.subjects import subject_of
from webapp.studies import waiting
from webapp.studies.models import Archive, Study
from webapp.studies.progress import current_progress, progress_by_study
from webapp.studies.services import archives

FILES = 3
#: Index of the SQL statement before which the ZIP is unpacked: more than any response needs. A quarter is quick.
MOMENTS = [pytest.param(number, marks=[] if number % 4 == 2 else pytest.mark.long) for number in range(14)]


@pytest.fixture
def study(client, zipped):
    return Study.objects.get(pk=client.upload_study({"ward.zip": zipped}).json()["id"])


@contextmanager
def before_statement(number, act):
    """Call ``act`` before the statement at index ``number`` of a request, as another process might."""
    seen = []

    def execute(execute, *arguments):
        seen.append(arguments[0])
        if len(seen) == number + 1:
            act()
        return execute(*arguments)

    with connection.execute_wrapper(execute):
        yield


def unpack():
    archives.unpack()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    "take_snapshot",
    [
        current_progress,
        lambda study: progress_by_study([study])[study.pk],
        lambda study: type("Sent", (), {**sending._study(subject_of({"study": str(study.pk)})), "is_final": False}),
    ],
    ids=["study", "list", "webhook"],
)
def test_no_response_misses_images_or_counts_them_twice(study, moment, take_snapshot):
    with before_statement(moment, unpack):
        snapshot = take_snapshot(study)
    assert (snapshot.status, snapshot.total, snapshot.counts["queued"]) == ("queued", FILES, FILES)
    assert not snapshot.is_final


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("url", ["url", "list", "page"])
def test_no_http_response_reports_the_study_as_finished(client, study, moment, url):
    api = f"/api/v1/studies/{study.pk}/"
    with before_statement(moment, unpack):
        answer = client.get({"url": api, "list": "/api/v1/studies/", "page": study.get_absolute_url()}[url])
    if url == "page":
        content = answer.content.decode()
        assert f"<strong>0 of {FILES}</strong>" in content
        assert "hx-get" in content, "the page keeps polling"
        return
    body = answer.json() if url == "url" else answer.json()["results"][0]
    assert (body["status"], body["total"], body["counts"]["queued"]) == ("queued", FILES, FILES)


@pytest.mark.parametrize("moment", MOMENTS)
def test_no_waiting_client_gets_a_final_status_too_early(study, moment):
    with before_statement(moment, unpack):
        state = waiting.study_states([study.pk])[study.pk]
    assert not state.is_final


@pytest.mark.parametrize("moment", MOMENTS)
def test_no_study_with_a_zip_to_unpack_is_listed_as_finished(client, study, moment):
    with before_statement(moment, unpack):
        answer = client.get("/api/v1/studies/?status=finished")
    assert answer.json()["results"] == []


@pytest.mark.parametrize("state", Archive.PENDING)
@pytest.mark.parametrize("total", [0, 2])
def test_a_study_with_a_zip_to_unpack_is_never_final(make_study, state, total):
    study = make_study("succeeded")
    Archive.objects.create(study=study, filename="a.zip", total=total, state=state, dispatched_at=timezone.now())
    assert current_progress(study).status == "running"
    assert not waiting.study_states([study.pk])[study.pk].is_final
    assert study not in Study.objects.at_rest()


def test_a_deleted_or_unknown_study_has_an_empty_state():
    pk = uuid4()
    assert waiting.StudyState() == waiting.StudyState(images={}, archives={}, packed=0, cancelled=False)
    assert pk not in waiting.study_states([])


def rows(client, study):
    answer = client.get(f"/api/v1/studies/{study.pk}/results.csv")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_the_table_has_a_row_for_a_zip_that_is_still_to_be_unpacked(client, study):
    (row,) = rows(client, study)
    assert (row["filename"], row["status"]) == ("ward.zip", "queued")
    assert "3 files" in row["error_detail"]
    unpack()
    assert [row["filename"] for row in rows(client, study)] == ["0.jpg", "1.jpg", "2.jpg"]


def test_the_table_has_a_row_for_a_zip_that_failed(client, study):
    Archive.objects.update(state=Archive.State.FAILED, error_code="file_missing", error_detail="It is gone.")
    (row,) = rows(client, study)
    assert (row["filename"], row["status"], row["error_code"], row["error_detail"]) == (
        "ward.zip", "failed", "file_missing", "It is gone.",
    )  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_table_always_has_the_zip_or_all_its_images(client, study, moment):
    with before_statement(moment, unpack):
        names = {row["filename"] for row in rows(client, study)}
    assert "ward.zip" in names or names == {"0.jpg", "1.jpg", "2.jpg"}
