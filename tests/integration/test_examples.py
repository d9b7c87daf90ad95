"""The examples in the API's description are true: each is compared with the service's real answer.

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
#: Fields whose values differ in each run.
SECRETS = ("token", "secret", "password", "link")
#: Objects whose keys depend on the progress of the work.
FREE = {"counts", "parts", "shadows"}


def picture() -> bytes:
    real = sorted(DATA.glob("originals/PNEUMONIA/*.jpeg"))
    return real[0].read_bytes() if real else synthetic.xray_jpeg(3)


def tus_headers(content: bytes) -> dict[str, str]:
    """Headers of a tus upload that consists of one request."""
    name = base64.b64encode(b"chest.jpeg").decode()
    kind = {"Content-Type": "application/offset+octet-stream", "Upload-Metadata": f"filename {name}"}
    return {**kind, "Tus-Resumable": "1.0.0", "Upload-Length": str(len(content))}


def cancel_one(api: httpx.Client) -> Any:
    """The answer to a successful cancellation of an image."""
    for _ in range(20):
        answer = api.post(clients.upload(api, picture(), priority="bulk").json()["url"] + "cancel/")
        if answer.status_code == 200:
            return answer
    raise AssertionError("each image was read before it could be cancelled")


def call_operations(service: Service) -> dict[str, tuple[Any, httpx.Response]]:
    """Call each operation that answers in JSON; return the body of each request, if it is JSON, and the answer."""
    chest, collected = picture(), {}
    login = {"username": "admin", "password": service.admin_password, "name": "reading room"}
    with clients.client(service) as guest, clients.admin(service) as api:

        def record(name: str, answer: httpx.Response, body: Any = None) -> Any:
            collected[name] = (body, answer)
            return answer.json()

        # The example has another name: programs that try it would lock the administrator out.
        record("POST /api/v1/auth/token/", guest.post("/api/v1/auth/token/", json=login), {**login, "username": "kim"})
        record("POST /api/v1/images/", clients.upload(guest, chest))
        uploaded = clients.upload(api, chest, patient="P-1042").json()
        image = uploaded["url"]
        clients.wait_final(api, image)
        record("GET /api/v1/images/{id}/", api.get(image))
        record("GET /api/v1/images/", api.get("/api/v1/images/", params={"page_size": 1, "search": uploaded["id"]}))
        record("POST /api/v1/images/{id}/cancel/", cancel_one(api))
        patient = {"patient": "P-1042"}
        record("PATCH /api/v1/images/{id}/", api.patch(image, json=patient), patient)
        broken = clients.upload(api, synthetic.truncated_jpeg()).json()["url"]
        clients.wait_final(api, broken)
        record("POST /api/v1/images/{id}/retry/", api.post(f"{broken}retry/"))
        verdict = {"verdict": "PNEUMONIA", "comment": "right lower lobe"}
        record("PUT /api/v1/images/{id}/reviews/", api.put(f"{image}reviews/", json=verdict), verdict)
        record("GET /api/v1/images/{id}/reviews/", api.get(f"{image}reviews/"))

        unread = clients.upload(api, chest, stat="true").json()
        clients.wait_final(api, unread["url"])
        record("GET /api/v1/worklist/", api.get("/api/v1/worklist/", params={"page_size": 1, "stat": "true"}))

        files = [("files", ("chest.jpeg", chest)), ("files", ("notes.txt", b"no image"))]
        study = record("POST /api/v1/studies/", api.post("/api/v1/studies/", files=files, data={"name": "ward 3"}))
        new_files = {"files": ("another.jpeg", synthetic.xray_jpeg(4))}
        record("POST /api/v1/studies/{id}/images/", api.post(study["images_url"], files=new_files))
        clients.wait_final(api, study["url"])
        record("GET /api/v1/studies/{id}/", api.get(study["url"]))
        record("GET /api/v1/studies/{id}/images/", api.get(study["images_url"], params={"page_size": 1}))
        record("GET /api/v1/studies/{id}/fhir/", api.get(f"{study['url']}fhir/"))
        record("GET /api/v1/studies/", api.get("/api/v1/studies/", params={"page_size": 1, "search": study["id"]}))
        name = {"name": "ward 3, Monday"}
        record("PATCH /api/v1/studies/{id}/", api.patch(study["url"], json=name), name)
        failed_study = api.post(
            "/api/v1/studies/", files={"files": ("cut off.jpeg", synthetic.truncated_jpeg())}
        ).json()
        clients.wait_final(api, failed_study["url"])
        record("POST /api/v1/studies/{id}/retry/", api.post(f"{failed_study['url']}retry/"))
        record("POST /api/v1/studies/{id}/close/", api.post(f"{study['url']}close/"))
        resumable = api.post("/api/v1/uploads/", content=chest, headers=tus_headers(chest))
        record("POST /api/v1/uploads/", resumable)
        record("GET /api/v1/uploads/{id}/", api.get(resumable.json()["url"]))
        record("POST /api/v1/studies/{id}/cancel/", api.post(f"{study['url']}cancel/"))

        patients = record(
            "GET /api/v1/patients/", api.get("/api/v1/patients/", params={"page_size": 1, "search": "P-1042"})
        )
        patient_url = patients["results"][0]["url"]
        record("GET /api/v1/patients/{id}/", api.get(patient_url))
        fields = {"identifier": "P-2077", "name": "Kim", "birth_date": "2024-05-04", "sex": "F"}
        second = record("POST /api/v1/patients/", api.post("/api/v1/patients/", json=fields), fields)
        birth = {"birth_date": "2024-04-05"}
        record("PATCH /api/v1/patients/{id}/", api.patch(second["url"], json=birth), birth)
        other = {"other": second["id"]}
        record("POST /api/v1/patients/{id}/merge/", api.post(f"{patient_url}merge/", json=other), other)
        record("GET /api/v1/queues/", api.get("/api/v1/queues/"))
        record("GET /api/v1/agreement/", api.get("/api/v1/agreement/"))
        record("GET /api/v1/auth/tokens/", api.get("/api/v1/auth/tokens/"))

        days = {"days": 7}
        for kind, url in (("images", image), ("studies", study["url"])):
            record(f"POST /api/v1/{kind}/{{id}}/shares/", api.post(f"{url}shares/", json=days), days)
            record(f"GET /api/v1/{kind}/{{id}}/shares/", api.get(f"{url}shares/"))
        view = {"list": "images", "name": "To do", "filters": {"group": "positive", "reviewed": "false"}}
        saved_view = record("POST /api/v1/saved-views/", api.post("/api/v1/saved-views/", json=view), view)
        record("GET /api/v1/saved-views/", api.get("/api/v1/saved-views/"))
        api.delete(f"/api/v1/saved-views/{saved_view['id']}/")

        hook = {"url": "https://127.0.0.1:9/hook"}
        webhook = record("POST /api/v1/webhooks/", api.post("/api/v1/webhooks/", json=hook), hook)
        webhook_url = f"/api/v1/webhooks/{webhook['id']}/"
        record("GET /api/v1/webhooks/{id}/", api.get(webhook_url))
        record("GET /api/v1/webhooks/", api.get("/api/v1/webhooks/", params={"page_size": 1}))
        record("POST /api/v1/webhooks/{id}/test/", api.post(f"{webhook_url}test/"))
        for _ in range(100):  # the receiver is unreachable, and an attempt takes a moment
            if (deliveries := api.get(f"{webhook_url}deliveries/")).json()["results"][0]["attempts"]:
                break
            time.sleep(0.1)
        record("GET /api/v1/webhooks/{id}/deliveries/", deliveries)
        record("GET /api/v1/emails/", api.get("/api/v1/emails/"))
        api.delete(webhook_url)

        ward = {"name": "Radiology", "slug": "radiology"}
        department = record("POST /api/v1/departments/", api.post("/api/v1/departments/", json=ward), ward)
        record("GET /api/v1/departments/", api.get("/api/v1/departments/", params={"page_size": 1}))
        record("GET /api/v1/departments/{slug}/", api.get(department["url"]))
        night = {"night_start": "20:00", "night_end": "06:00", "share": 2}
        record("PATCH /api/v1/departments/{slug}/", api.patch(department["url"], json=night), night)
        kim = {"who": "admin", "role": "manager"}
        path = "/api/v1/departments/{slug}/members/"
        member = record(f"POST {path}", api.post(f"{department['url']}members/", json=kim), kim)
        record(f"GET {path}", api.get(f"{department['url']}members/"))
        role = {"role": "manager"}
        record(f"PATCH {path}{{id}}/", api.patch(f"{department['url']}members/{member['id']}/", json=role), role)
        guest_reader = {"email": "kim@hospital.example", "role": "reader"}
        path = "/api/v1/departments/{slug}/invitations/"
        record(f"POST {path}", api.post(f"{department['url']}invitations/", json=guest_reader), guest_reader)
        record(f"GET {path}", api.get(f"{department['url']}invitations/"))
        scanner = {"name": "CT, room 2"}
        path, base = "/api/v1/departments/{slug}/service-accounts/", f"{department['url']}service-accounts/"
        account = record(f"POST {path}", api.post(base, json=scanner), scanner)
        record(f"GET {path}", api.get(base))
        key = {"name": "console"}
        record(f"POST {path}{{id}}/tokens/", api.post(f"{base}{account['id']}/tokens/", json=key), key)
        record(f"GET {path}{{id}}/tokens/", api.get(f"{base}{account['id']}/tokens/"))
        pacs = {"name": "PACS", "host": "127.0.0.1", "port": 9, "called_ae": "ARCHIVE"}
        path = "/api/v1/departments/{slug}/destinations/"
        destination = record(f"POST {path}", api.post(f"{department['url']}destinations/", json=pacs), pacs)
        record(f"GET {path}", api.get(f"{department['url']}destinations/"))
        path, base = "/api/v1/destinations/{id}/", f"/api/v1/destinations/{destination['id']}/"
        record(f"GET {path}", api.get(base))
        port = {"port": 7}
        record(f"PATCH {path}", api.patch(base, json=port), port)
        api.post(f"{base}test/")
        for _ in range(100):
            if (deliveries := api.get(f"{base}deliveries/")).json()["results"][0]["attempts"]:
                break
            time.sleep(0.1)
        record(f"GET {path}deliveries/", deliveries)
        with archive.running(modality.image(PatientName="Doe^Ada", PatientID="P-1042")) as pacs:
            search_pacs(api, record, department["url"], base, pacs.port)
        api.delete(department["url"])

        coded = {"image": base64.b64encode(chest).decode(), "age": 3.5, "view": "PA"}
        shortened = {**coded, "image": f"{coded['image'][:12]}…"}  # nobody can read a whole picture in base64
        record("POST /predict", api.post("/predict", json=coded), shortened)
        record("GET /healthz", guest.get("/healthz"))
        record("GET /readyz", guest.get("/readyz"))
    return collected


def search_pacs(api: httpx.Client, record: Callable[..., Any], department: str, destination: str, port: int) -> None:
    api.patch(destination, json={"port": port, "retrieves": "get"})
    path, base = "/api/v1/departments/{slug}/pacs/", f"{department}pacs/"
    record(f"GET {path}", api.get(base))
    patient = {"patient_id": "P-1042"}
    search = record(f"POST {path}searches/", api.post(f"{base}searches/", json=patient), patient)
    path, base = "/api/v1/pacs-searches/{id}/", f"/api/v1/pacs-searches/{search['id']}/"
    for _ in range(300):
        if (answer := api.get(base)).json()["state"] != "waiting":
            break
        time.sleep(0.1)
    record(f"GET {path}", answer)
    chosen = {"studies": [answer.json()["studies"][0]["study_uid"]]}
    record(f"POST {path}retrievals/", api.post(f"{base}retrievals/", json=chosen), chosen)


def refusals(service: Service) -> Iterator[httpx.Response]:
    """One answer of each error status that is easy to cause."""
    key = {"Idempotency-Key": "one"}
    with clients.admin(service) as api:
        yield api.get("/api/v1/images/", params={"colour": "red"})
        yield api.get("/api/v1/images/", headers={"Authorization": "Token 0"})
        yield api.get(f"/api/v1/images/{uuid4()}/")
        image = clients.upload(api, picture()).json()["url"]
        clients.wait_final(api, image)
        yield api.post(f"{image}cancel/")
        yield api.post("/api/v1/webhooks/", content=b" " * 3 * 2**20, headers={"Content-Type": "application/json"})
        yield clients.upload(api, b"Dear colleague,")
        api.post("/api/v1/images/", files={"file": picture()}, headers=key)
        yield api.post("/api/v1/images/", files={"file": synthetic.xray_jpeg(5)}, headers=key)


@pytest.fixture(scope="module")
def answers(service: Service) -> dict[str, Any]:
    """Each request and answer, in the form of the recorded examples."""
    collected = {}
    for name, (body, answer) in call_operations(service).items():
        assert answer.is_success, f"{name}: {answer.text}"
        example = {"status": answer.status_code, "answer": _redacted(answer.json(), service)}
        collected[name] = {**example, "request": _redacted(body, service)} if body else example
    collected["problems"] = {str(refusal.status_code): {"example": refusal.json()} for refusal in refusals(service)}
    if os.environ.get("RECORD_EXAMPLES"):
        FILE.write_text(json.dumps(collected, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return collected


def _redacted(value: Any, service: Service) -> Any:
    """Replace this service's address and all secrets, even those that expire soon."""
    if isinstance(value, dict):
        return {
            key: f"{item[:4]}…" if key in SECRETS and item else _redacted(item, service) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_redacted(item, service) for item in value]
    if isinstance(value, str):
        return value.replace(service.url, "https://xray.example").replace("127.0.0.1:9", "receiver.example")
    return value


def shape(value: Any, key: str = "") -> Any:
    """The names of the fields, and whether a value is an object, a list or something else."""
    if isinstance(value, dict):
        return "free" if key in FREE else {name: shape(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return "a list"
    return "a value"


def test_every_example_has_the_fields_of_a_real_answer(answers: dict[str, Any]) -> None:
    recorded = json.loads(Path(FILE).read_text(encoding="utf-8"))
    advice = f"run {Path(__file__).name} with RECORD_EXAMPLES=1"
    assert set(recorded) == set(answers), advice
    assert set(recorded["problems"]) >= {"400", "401", "404", "409", "413", "415", "422"}
    assert recorded.pop("problems") == answers["problems"], advice
    for name in recorded:
        example = answers[name]
        assert recorded[name]["status"] == example["status"], f"{name}: {advice}"
        for part in ("answer", "request"):
            expected, actual = shape(recorded[name].get(part)), shape(example.get(part))
            if isinstance(expected, dict) and isinstance(actual, dict):
                assert set(expected) == set(actual), f"{name}: {advice}"


def test_the_examples_numbers_are_those_of_the_released_model(answers: dict[str, Any]) -> None:
    recorded = json.loads(Path(FILE).read_text(encoding="utf-8"))
    image = answers["GET /api/v1/images/{id}/"]["answer"]
    for name in ("GET /api/v1/images/{id}/", "POST /predict"):
        for field in ("model", "threshold", "operating_point"):
            assert recorded[name]["answer"][field] == image[field], f"{name}: record the examples again"
    readings = recorded["GET /api/v1/images/{id}/"]["answer"]["readings"]
    assert readings[0]["operating_points"] == image["readings"][0]["operating_points"]


def test_the_examples_match_the_schema(service: Service) -> None:
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


def _validate(example: Any, schema: Any, document: Any) -> None:
    """Validate an example; OpenAPI 3.0's ``nullable`` becomes JSON Schema's null."""
    text = re.sub(r"#/components/schemas/", "#/$defs/", json.dumps([schema, document["components"]["schemas"]]))
    subschema, definitions = (_nullable(part) for part in json.loads(text))
    jsonschema.validate(example, {**subschema, "$defs": definitions})


def _nullable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _nullable(item) for key, item in schema.items() if key != "nullable"}
    return {"anyOf": [changed, {"type": "null"}]} if schema.get("nullable") is True else changed
