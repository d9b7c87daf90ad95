"""Results over STOW-RS: to a fake server, and to Orthanc."""

import json

import pytest

from tests import orthanc as orthancs
from tests.worker.results.outbox import announce, deliver, free_port, make_due
from webapp.accounts.identity import Identity
from webapp.dicom.models import Destination
from webapp.dicom.services import destinations
from webapp.notifications.outgoing import Answer
from webapp.studies.outbox.models import Delivery, State
from worker.deliver.dicom import stow

pytestmark = pytest.mark.usefixtures("loopback_allowed")


@pytest.fixture
def web_destination(department):
    def add(url, **values):
        values = {"name": "Web", "protocol": "stow", "url": url, **values}
        return destinations.create(Identity(), department, **values)

    return add


@pytest.mark.parametrize(
    ("how", "header"),
    [
        ({"sign_in": "bearer", "secret": "t"}, ("authorization", "Bearer t")),
        ({"sign_in": "basic", "sign_in_name": "ada", "secret": "p"}, ("authorization", "Basic YWRhOnA=")),
        ({"sign_in": "header", "sign_in_name": "X-Key", "secret": "k"}, ("x-key", "k")),
    ],
)
def test_the_service_signs_in_to_the_server(web_destination, dicom_image, receiver, how, header):
    web_destination(receiver.url, **how)
    announce(dicom_image())
    deliver()
    [request] = receiver.requests
    assert request.path == "/hook/studies"
    assert request.headers[header[0]] == header[1]
    assert request.body.count(b"DICM") == 2
    # It has answered 204, so it has not said what it has stored.
    assert Delivery.objects.get(kind="dicom").last_error == "answered 204"


def reply(stored=(), failed=None):
    """A Store Instances Response."""
    items = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in stored]
    refused = [
        {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
        for uid, reason in (failed or {}).items()
    ]
    return json.dumps({"00081199": {"vr": "SQ", "Value": items}, "00081198": {"vr": "SQ", "Value": refused}}).encode()


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        (lambda uids: Answer(200, reply(uids)), State.DELIVERED, ""),
        (lambda uids: Answer(202, reply(uids[:1], {uids[1]: 0x0122})), State.DEAD, "refuses Secondary Capture"),
        (lambda uids: Answer(409, reply((), {uids[0]: 0xA700})), State.WAITING, "no room"),
        (lambda uids: Answer(200, reply(uids[:1])), State.WAITING, "does not say that it has stored Secondary"),
        (lambda uids: Answer(200, b"<xml/>"), State.WAITING, "does not say in DICOM's JSON"),
        (lambda uids: Answer(200, b'{"00081199": {"Value": [7]}}'), State.WAITING, "does not say in DICOM's JSON"),
        (lambda uids: Answer(503), State.WAITING, "answered 503"),
    ],
)
def test_the_servers_answer_about_each_object_counts(web_destination, dicom_image, monkeypatch, answer, state, error):
    def ask(method, url, headers, content, **limits):
        parts = content.split(b"\x08\x00\x18\x00UI")[1:]
        return answer([part[2 : 2 + part[0]].rstrip(b"\0").decode() for part in parts])

    monkeypatch.setattr(stow.outgoing, "ask", ask)
    web_destination("https://pacs.example/")
    announce(dicom_image())
    deliver()
    row = Delivery.objects.get(kind="dicom")
    assert (row.state, error in row.last_error) == (state, True), row.last_error


def test_an_address_that_is_not_allowed_gets_no_request(web_destination, dicom_image, receiver, settings):
    web_destination(receiver.url)
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    announce(dicom_image())
    deliver()
    assert not receiver.requests
    assert "no address that is allowed" in Delivery.objects.get(kind="dicom").last_error


@pytest.mark.long
@orthancs.needed
def test_orthanc_gets_everything_even_results_made_while_it_was_off(web_destination, dicom_image, tmp_path):
    auth = ("pneumoqueue", "a password")
    receiver = web_destination(
        f"http://127.0.0.1:{free_port()}/dicom-web", sign_in="basic", sign_in_name=auth[0], secret=auth[1]
    )
    announce(dicom_image(1))
    assert deliver() == {"delivered": 1, "failed": 1}
    with orthancs.running(tmp_path, auth) as orthanc:
        Destination.objects.filter(pk=receiver.pk).update(url=f"{orthanc.client.base_url}/dicom-web")
        announce(dicom_image(2))
        make_due()
        assert deliver() == {"delivered": 3}
        destinations.test(Identity(), receiver)
        assert deliver() == {"delivered": 1}
        series = [orthanc.client.get(f"/series/{one}").json() for one in orthanc.client.get("/series").json()]
        assert sorted(one["MainDicomTags"]["Modality"] for one in series) == ["OT", "OT", "SR", "SR"]
        Destination.objects.filter(pk=receiver.pk).update(sign_in_name="nobody")
        destinations.test(Identity(), receiver)
        assert deliver() == {"failed": 1}
    receiver.refresh_from_db()
    assert receiver.last_outcome == "answered 401"
