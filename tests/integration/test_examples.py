"""The examples in the API's description are true: this asks the service for each, and compares.

``RECORD_EXAMPLES=1 python -m pytest tests/integration/test_examples.py`` records them again, with a real X-ray if the
data set is available (tests/conftest.py).
"""

import base64
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jsonschema
import pytest

from tests import clients, modality, synthetic
from tests.conftest import DATA
from tests.service import ROOT, Service
from tests.worker.dicom import archive

pytestmark = [pytest.mark.integration, pytest.mark.long]

FILE = ROOT / "webapp" / "http" / "examples.json"
#: What each run has another of.
SECRETS = ("token", "secret", "password", "link")
#: Objects whose keys depend on how far the work is.
FREE = {"counts", "parts", "shadows"}


def picture() -> bytes:
    real = sorted(DATA.glob("originals/PNEUMONIA/*.jpeg"))
    return real[0].read_bytes() if real else synthetic.xray_jpeg(3)


def whole_by_tus(content: bytes) -> dict[str, str]:
    """The headers of an upload by tus that is one request."""
    name = base64.b64encode(b"chest.jpeg").decode()
    kind = {"Content-Type": "application/offset+octet-stream", "Upload-Metadata": f"filename {name}"}
    return {**kind, "Tus-Resumable": "1.0.0", "Upload-Length": str(len(content))}


def cancelled(by: httpx.Client) -> Any:
    """An image that was cancelled before it was read."""
    for _ in range(20):
        answer = by.post(clients.upload(by, picture(), priority="bulk").json()["url"] + "cancel/")
        if answer.status_code == 200:
            return answer
    raise AssertionError("the model is always faster")


def ask(service: Service) -> dict[str, tuple[Any, httpx.Response]]:
    """A request and its answer for each operation that answers in JSON; the request's body where it is JSON."""
    chest, found = picture(), {}
    login = {"username": "admin", "password": service.admin_password, "name": "reading room"}
    with clients.client(service) as guest, clients.admin(service) as by:

        def keep(name: str, answer: httpx.Response, body: Any = None) -> Any:
            found[name] = (body, answer)
            return answer.json()

        # By another name than the administrator's, whom programs that try the examples would lock out.
        keep("POST /api/v1/auth/token/", guest.post("/api/v1/auth/token/", json=login), {**login, "username": "kim"})
        keep("POST /api/v1/images/", clients.upload(guest, chest))
        sent = clients.upload(by, chest, patient="P-1042").json()
        image = sent["url"]
        clients.wait_final(by, image)
        keep("GET /api/v1/images/{id}/", by.get(image))
        keep("GET /api/v1/images/", by.get("/api/v1/images/", params={"page_size": 1, "search": sent["id"]}))
        keep("POST /api/v1/images/{id}/cancel/", cancelled(by))
        patient = {"patient": "P-1042"}
        keep("PATCH /api/v1/images/{id}/", by.patch(image, json=patient), patient)
        broken = clients.upload(by, synthetic.truncated_jpeg()).json()["url"]
        clients.wait_final(by, broken)
        keep("POST /api/v1/images/{id}/retry/", by.post(f"{broken}retry/"))
        verdict = {"verdict": "PNEUMONIA", "comment": "right lower lobe"}
        keep("PUT /api/v1/images/{id}/reviews/", by.put(f"{image}reviews/", json=verdict), verdict)
        keep("GET /api/v1/images/{id}/reviews/", by.get(f"{image}reviews/"))

        unread = clients.upload(by, chest, stat="true").json()
        clients.wait_final(by, unread["url"])
        keep("GET /api/v1/worklist/", by.get("/api/v1/worklist/", params={"page_size": 1, "stat": "true"}))

        files = [("files", ("chest.jpeg", chest)), ("files", ("notes.txt", b"no image"))]
        study = keep("POST /api/v1/studies/", by.post("/api/v1/studies/", files=files, data={"name": "ward 3"}))
        more = {"files": ("another.jpeg", synthetic.xray_jpeg(4))}
        keep("POST /api/v1/studies/{id}/images/", by.post(study["images_url"], files=more))
        clients.wait_final(by, study["url"])
        keep("GET /api/v1/studies/{id}/", by.get(study["url"]))
        keep("GET /api/v1/studies/{id}/images/", by.get(study["images_url"], params={"page_size": 1}))
        keep("GET /api/v1/studies/{id}/fhir/", by.get(f"{study['url']}fhir/"))
        keep("GET /api/v1/studies/", by.get("/api/v1/studies/", params={"page_size": 1, "search": study["id"]}))
        name = {"name": "ward 3, Monday"}
        keep("PATCH /api/v1/studies/{id}/", by.patch(study["url"], json=name), name)
        with_one = by.post("/api/v1/studies/", files={"files": ("cut off.jpeg", synthetic.truncated_jpeg())}).json()
        clients.wait_final(by, with_one["url"])
        keep("POST /api/v1/studies/{id}/retry/", by.post(f"{with_one['url']}retry/"))
        keep("POST /api/v1/studies/{id}/close/", by.post(f"{study['url']}close/"))
        begun = by.post("/api/v1/uploads/", content=chest, headers=whole_by_tus(chest))
        keep("POST /api/v1/uploads/", begun)
        keep("GET /api/v1/uploads/{id}/", by.get(begun.json()["url"]))
        keep("POST /api/v1/studies/{id}/cancel/", by.post(f"{study['url']}cancel/"))

        patients = keep(
            "GET /api/v1/patients/", by.get("/api/v1/patients/", params={"page_size": 1, "search": "P-1042"})
        )
        one = patients["results"][0]["url"]
        keep("GET /api/v1/patients/{id}/", by.get(one))
        fields = {"identifier": "P-2077", "name": "Kim", "birth_date": "2024-05-04", "sex": "F"}
        second = keep("POST /api/v1/patients/", by.post("/api/v1/patients/", json=fields), fields)
        birth = {"birth_date": "2024-04-05"}
        keep("PATCH /api/v1/patients/{id}/", by.patch(second["url"], json=birth), birth)
        other = {"other": second["id"]}
        keep("POST /api/v1/patients/{id}/merge/", by.post(f"{one}merge/", json=other), other)
        keep("GET /api/v1/queues/", by.get("/api/v1/queues/"))
        keep("GET /api/v1/agreement/", by.get("/api/v1/agreement/"))
        keep("GET /api/v1/auth/tokens/", by.get("/api/v1/auth/tokens/"))

        days = {"days": 7}
        for kind, url in (("images", image), ("studies", study["url"])):
            keep(f"POST /api/v1/{kind}/{{id}}/shares/", by.post(f"{url}shares/", json=days), days)
            keep(f"GET /api/v1/{kind}/{{id}}/shares/", by.get(f"{url}shares/"))
        view = {"list": "images", "name": "To do", "filters": {"group": "positive", "reviewed": "false"}}
        kept = keep("POST /api/v1/saved-views/", by.post("/api/v1/saved-views/", json=view), view)
        keep("GET /api/v1/saved-views/", by.get("/api/v1/saved-views/"))
        by.delete(f"/api/v1/saved-views/{kept['id']}/")

        hook = {"url": "https://127.0.0.1:9/hook"}
        webhook = keep("POST /api/v1/webhooks/", by.post("/api/v1/webhooks/", json=hook), hook)
        own = f"/api/v1/webhooks/{webhook['id']}/"
        keep("GET /api/v1/webhooks/{id}/", by.get(own))
        keep("GET /api/v1/webhooks/", by.get("/api/v1/webhooks/", params={"page_size": 1}))
        keep("POST /api/v1/webhooks/{id}/test/", by.post(f"{own}test/"))
        for _ in range(100):  # the receiver is unreachable, and its attempt takes a moment
            if (sent_to := by.get(f"{own}deliveries/")).json()["results"][0]["attempts"]:
                break
            time.sleep(0.1)
        keep("GET /api/v1/webhooks/{id}/deliveries/", sent_to)
        keep("GET /api/v1/emails/", by.get("/api/v1/emails/"))
        by.delete(own)

        ward = {"name": "Radiology", "slug": "radiology"}
        made = keep("POST /api/v1/departments/", by.post("/api/v1/departments/", json=ward), ward)
        keep("GET /api/v1/departments/", by.get("/api/v1/departments/", params={"page_size": 1}))
        keep("GET /api/v1/departments/{slug}/", by.get(made["url"]))
        night = {"night_start": "20:00", "night_end": "06:00", "share": 2}
        keep("PATCH /api/v1/departments/{slug}/", by.patch(made["url"], json=night), night)
        kim = {"who": "admin", "role": "manager"}
        path = "/api/v1/departments/{slug}/members/"
        member = keep(f"POST {path}", by.post(f"{made['url']}members/", json=kim), kim)
        keep(f"GET {path}", by.get(f"{made['url']}members/"))
        role = {"role": "manager"}
        keep(f"PATCH {path}{{id}}/", by.patch(f"{made['url']}members/{member['id']}/", json=role), role)
        guest_reader = {"email": "kim@hospital.example", "role": "reader"}
        path = "/api/v1/departments/{slug}/invitations/"
        keep(f"POST {path}", by.post(f"{made['url']}invitations/", json=guest_reader), guest_reader)
        keep(f"GET {path}", by.get(f"{made['url']}invitations/"))
        scanner = {"name": "CT, room 2"}
        path, at = "/api/v1/departments/{slug}/service-accounts/", f"{made['url']}service-accounts/"
        account = keep(f"POST {path}", by.post(at, json=scanner), scanner)
        keep(f"GET {path}", by.get(at))
        key = {"name": "console"}
        keep(f"POST {path}{{id}}/tokens/", by.post(f"{at}{account['id']}/tokens/", json=key), key)
        keep(f"GET {path}{{id}}/tokens/", by.get(f"{at}{account['id']}/tokens/"))
        pacs = {"name": "PACS", "host": "127.0.0.1", "port": 9, "called_ae": "ARCHIVE"}
        path = "/api/v1/departments/{slug}/destinations/"
        goal = keep(f"POST {path}", by.post(f"{made['url']}destinations/", json=pacs), pacs)
        keep(f"GET {path}", by.get(f"{made['url']}destinations/"))
        path, at = "/api/v1/destinations/{id}/", f"/api/v1/destinations/{goal['id']}/"
        keep(f"GET {path}", by.get(at))
        port = {"port": 7}
        keep(f"PATCH {path}", by.patch(at, json=port), port)
        by.post(f"{at}test/")
        for _ in range(100):
            if (sent_to := by.get(f"{at}deliveries/")).json()["results"][0]["attempts"]:
                break
            time.sleep(0.1)
        keep(f"GET {path}deliveries/", sent_to)
        with archive.running(modality.image(PatientName="Doe^Ada", PatientID="P-1042")) as pacs:
            search_pacs(by, keep, made["url"], at, pacs.port)
        by.delete(made["url"])

        coded = {"image": base64.b64encode(chest).decode(), "age": 3.5, "view": "PA"}
        shortened = {**coded, "image": f"{coded['image'][:12]}…"}  # a picture in base64 is no example to be read
        keep("POST /predict", by.post("/predict", json=coded), shortened)
        keep("GET /healthz", guest.get("/healthz"))
        keep("GET /readyz", guest.get("/readyz"))
    return found


def search_pacs(by: httpx.Client, keep: Callable[..., Any], department: str, destination: str, port: int) -> None:
    by.patch(destination, json={"port": port, "retrieves": "get"})
    path, at = "/api/v1/departments/{slug}/pacs/", f"{department}pacs/"
    keep(f"GET {path}", by.get(at))
    patient = {"patient_id": "P-1042"}
    search = keep(f"POST {path}searches/", by.post(f"{at}searches/", json=patient), patient)
    path, at = "/api/v1/pacs-searches/{id}/", f"/api/v1/pacs-searches/{search['id']}/"
    for _ in range(300):
        if (found := by.get(at)).json()["state"] != "waiting":
            break
        time.sleep(0.1)
    keep(f"GET {path}", found)
    chosen = {"studies": [found.json()["studies"][0]["study_uid"]]}
    keep(f"POST {path}retrievals/", by.post(f"{at}retrievals/", json=chosen), chosen)


def refusals(service: Service) -> Iterator[httpx.Response]:
    """An answer of each status that can easily be had."""
    key = {"Idempotency-Key": "one"}
    with clients.admin(service) as by:
        yield by.get("/api/v1/images/", params={"colour": "red"})
        yield by.get("/api/v1/images/", headers={"Authorization": "Token 0"})
        yield by.get(f"/api/v1/images/{uuid4()}/")
        image = clients.upload(by, picture()).json()["url"]
        clients.wait_final(by, image)
        yield by.post(f"{image}cancel/")
        yield by.post("/api/v1/webhooks/", content=b" " * 3 * 2**20, headers={"Content-Type": "application/json"})
        yield clients.upload(by, b"Dear colleague,")
        by.post("/api/v1/images/", files={"file": picture()}, headers=key)
        yield by.post("/api/v1/images/", files={"file": synthetic.xray_jpeg(5)}, headers=key)


@pytest.fixture(scope="module")
def asked(service: Service) -> dict[str, Any]:
    """Each request and answer, in the form in which it is kept."""
    found = {}
    for name, (body, answer) in ask(service).items():
        assert answer.is_success, f"{name}: {answer.text}"
        example = {"status": answer.status_code, "answer": _redacted(answer.json(), service)}
        found[name] = {**example, "request": _redacted(body, service)} if body else example
    found["problems"] = {str(one.status_code): {"example": one.json()} for one in refusals(service)}
    if os.environ.get("RECORD_EXAMPLES"):
        FILE.write_text(json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return found


def _redacted(value: Any, service: Service) -> Any:
    """Without this service's address, and without secrets, however short-lived."""
    if isinstance(value, dict):
        return {key: f"{one[:4]}…" if key in SECRETS and one else _redacted(one, service) for key, one in value.items()}
    if isinstance(value, list):
        return [_redacted(one, service) for one in value]
    if isinstance(value, str):
        return value.replace(service.url, "https://xray.example").replace("127.0.0.1:9", "receiver.example")
    return value


def shape(value: Any, key: str = "") -> Any:
    """Which fields there are, and what kind of value each has; of what may be null only that it is there."""
    if isinstance(value, dict):
        return "free" if key in FREE else {name: shape(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return "a list"
    return "a value"


def test_every_example_has_the_fields_of_a_real_answer(asked: dict[str, Any]) -> None:
    kept = json.loads(Path(FILE).read_text(encoding="utf-8"))
    again = f"run {Path(__file__).name} with RECORD_EXAMPLES=1"
    assert set(kept) == set(asked), again
    assert set(kept["problems"]) >= {"400", "401", "404", "409", "413", "415", "422"}
    assert kept.pop("problems") == asked["problems"], again
    for name in kept:
        example = asked[name]
        assert kept[name]["status"] == example["status"], f"{name}: {again}"
        for part in ("answer", "request"):
            ours, theirs = shape(kept[name].get(part)), shape(example.get(part))
            if isinstance(ours, dict) and isinstance(theirs, dict):
                assert set(ours) == set(theirs), f"{name}: {again}"


def test_the_examples_figures_are_those_of_the_released_model(asked: dict[str, Any]) -> None:
    kept = json.loads(Path(FILE).read_text(encoding="utf-8"))
    image = asked["GET /api/v1/images/{id}/"]["answer"]
    for name in ("GET /api/v1/images/{id}/", "POST /predict"):
        for field in ("model", "threshold", "operating_point"):
            assert kept[name]["answer"][field] == image[field], f"{name}: record the examples again"
    readings = kept["GET /api/v1/images/{id}/"]["answer"]["readings"]
    assert readings[0]["operating_points"] == image["readings"][0]["operating_points"]


def test_the_examples_fit_the_description(service: Service) -> None:
    schema = json.loads(httpx.get(f"{service.url}/api/schema/?format=json", timeout=60).content)
    compared = 0
    for methods in schema["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                content = answer.get("content", {}).get("application/json", {})
                if "example" in content:
                    _validate(content["example"], content["schema"], schema)
                    compared += 1
    assert compared >= 20


def _validate(example: Any, schema: Any, whole: Any) -> None:
    """OpenAPI 3.0's ``nullable`` is JSON Schema's null."""
    text = re.sub(r"#/components/schemas/", "#/$defs/", json.dumps([schema, whole["components"]["schemas"]]))
    one, definitions = (_nullable(part) for part in json.loads(text))
    jsonschema.validate(example, {**one, "$defs": definitions})


def _nullable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _nullable(one) for key, one in schema.items() if key != "nullable"}
    return {"anyOf": [changed, {"type": "null"}]} if schema.get("nullable") is True else changed
