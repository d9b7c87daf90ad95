"""Run the service's own code, as its web process or as its workers, with the DATA_DIR of the environment.

``python -m tests.power_cut.service web FILE`` uploads files as clients do, runs each worker in a process of its own in
between, and writes a line to FILE for everything that it has promised to a client.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from tests import synthetic

#: Bytes above which an upload goes to a temporary file first. Django's own limit would need larger pictures.
IN_MEMORY = 3000


def prepare(data_dir: Path) -> dict[str, str]:
    """Return the environment variables of the service's processes."""
    return {
        **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        "DATA_DIR": str(data_dir),
        "FILE_UPLOAD_TEMP_DIR": str(data_dir / "incoming"),
        "DATABASE_URL": f"sqlite:///{data_dir / 'db.sqlite3'}",
        "BROKER_URL": "memory://",
        "PNEUMOQUEUE_ROLE": "",
        "ENGINE": "mnn",
        "SECRET_KEY": "the same for all processes of a test, and long enough",
        "S3_BUCKET": "",
        # Look for lost messages at once.
        "RESEND_AFTER_SECONDS": "0",
        "UNPACK_TIME_LIMIT": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def setup() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    import django

    django.setup()
    from django.conf import settings

    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = IN_MEMORY
    settings.ALLOWED_HOSTS = ["testserver"]


# --- the web process ------------------------------------------------------------------------------------------------


def web(promises: Path) -> None:
    """Accept uploads, have them read, publish results, and accept one more."""
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.test import Client

    from tests import dicomweb, modality
    from tests.webapp import resumable
    from webapp.studies.models import Study

    client = Client()
    token = _scanners_token()

    def promise(kind: str, **details: Any) -> None:
        os.write(stream.fileno(), json.dumps({"kind": kind, **details}).encode() + b"\n")

    def upload(content: bytes) -> str:
        answer = client.post("/api/v1/images/", {"file": SimpleUploadedFile("chest.jpg", content)})
        assert answer.status_code == 202, answer.content
        promise("image", id=answer.json()["id"], contents=[content.hex()])
        return str(answer.json()["url"])

    def upload_in_parts(content: bytes) -> None:
        url, third = resumable.begin(client, len(content), filename="parts.png")["Location"], len(content) // 3
        for start in (0, third):
            answer = resumable.go_on(client, url, start, content[start : start + third])
            assert answer.status_code == 204, answer.content
            promise("part", id=url.split("/")[-2], contents=[content[: start + third].hex()])
        assert resumable.go_on(client, url, 2 * third, content[2 * third :]).status_code == 204
        promise("image", id=client.get(url).json()["image_url"].split("/")[-2], contents=[content.hex()])

    def upload_study(files: dict[str, bytes], contents: list[bytes]) -> None:
        sent = [SimpleUploadedFile(name, content) for name, content in files.items()]
        answer = client.post("/api/v1/studies/", {"files": sent})
        assert answer.status_code == 202, answer.content
        promise("study", id=answer.json()["id"], contents=[content.hex() for content in contents])

    def upload_instances(contents: list[bytes]) -> None:
        answer = dicomweb.store(client, dicomweb.body(*contents), Authorization=f"Bearer {token}")
        assert answer.status_code == 200, answer.content
        study = Study.objects.get(study_uid=modality.STUDY)
        promise("study", id=str(study.pk), contents=[content.hex() for content in contents])

    pictures = [synthetic.xray_jpeg(seed, (64 + seed, 70)) for seed in range(14)]
    assert min(map(len, pictures)) < IN_MEMORY
    large = synthetic.xray_png(50, (130, 90))
    assert len(large) > IN_MEMORY
    with promises.open("wb", buffering=0) as stream:
        urls = [upload(content) for content in (pictures[0], large)]
        upload_in_parts(synthetic.xray_png(51, (120, 90)))
        upload_study({"a.jpg": pictures[1], "b.jpg": pictures[2], "c.png": large}, [*pictures[1:3], large])
        zipped = synthetic.zip_of({f"{number}.jpg": content for number, content in enumerate(pictures[3:9])})
        upload_study({"study.zip": zipped}, pictures[3:9])
        upload_instances([dicomweb.file(modality.image(number, side=64)) for number in range(2)])
        for role in ("ingest", "infer"):
            subprocess.run([sys.executable, "-m", "tests.power_cut.service", role], check=True, env={
                **os.environ, "PNEUMOQUEUE_ROLE": role,
            })  # fmt: skip
            urls.append(upload(pictures[9 + len(urls)]))
        for url in urls[:2]:
            answer = client.get(url).json()
            assert answer["status"] == "succeeded", answer
            promise("result", id=answer["id"], probability=answer["probability"])


def _scanners_token() -> str:
    """The API token of a program that sends instances for its department."""
    from django.contrib.auth.models import User

    from webapp.accounts import tokens
    from webapp.departments.models import Department, Membership

    user = User.objects.create_user("scanner")
    ward = Department.objects.create(name="Ward", slug="ward")
    Membership.objects.create(user=user, department=ward, role="uploader")
    return tokens.issue(user, "power cut")


# --- the workers ----------------------------------------------------------------------------------------------------


def _answers(_: Any, batch: Any) -> list[Any]:
    """Use an image's mean shade of grey as its probability of pneumonia, without the network and its framework."""
    from worker.infer.reader import Answer

    shades = batch.mean(axis=(1, 2)) / 255
    return [Answer((float(1 - shade), float(shade)), [], bytes(49)) for shade in shades]


def work(role: str = "") -> None:
    """Do all outstanding work, as a worker of this role, or of every role if none is given.

    The reconciler finds the work, as after a power cut, which empties the broker.
    """
    from webapp.ops import services as ops
    from webapp.studies.services import reconciliation
    from worker import bundle, tasks
    from worker.infer import reader
    from worker.infer.inputs import Inputs

    current = bundle.current()
    # Without an engine.
    reader._reader = reader.Reader(current, None, None, Inputs(current.preprocessing.size, current.id))
    reader._answers = _answers
    messages: list[tuple[str, str]] = []

    def send(name: str, args: tuple[str, ...] = (), **_: Any) -> None:
        if args:  # for an image or a ZIP; results are not announced here
            messages.append((name, args[0]))

    tasks.app.send_task = send
    for _ in range(20):
        # No worker is alive, so the claims of earlier ones are released.
        ops.count_missed()
        reconciliation.reconcile(reconciliation.Workers(bundle=current.id, served=[current.id]))
        due = [message for message in messages if not role or (message[0] == "worker.infer") == (role == "infer")]
        messages.clear()
        if not due:
            return
        waiting = dict.fromkeys(due)
        image_ids = [UUID(pk) for name, pk in waiting if name == "worker.infer"]
        for name, pk in waiting:
            if name != "worker.infer":
                tasks.app.tasks[name](pk)
        for start in range(0, len(image_ids), 4):
            reader.read_batch(image_ids[start : start + 4])
    raise RuntimeError(f"the work does not end: {messages}")


if __name__ == "__main__":
    setup()
    if sys.argv[1] == "web":
        web(Path(sys.argv[2]))
    else:
        work(sys.argv[1])
