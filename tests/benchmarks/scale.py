"""`python -m tests.benchmarks.scale [--images N]`: what operations take with a million images.

Fills a fresh SQLite database and, where PostgreSQL is installed, a fresh PostgreSQL (``--on`` chooses one), and
measures each operation as a client, a worker or beat has it, answers included. With ``--url`` it measures a database
that ``manage.py seed`` has filled.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests import servers
from tests.service import ROOT

ROUNDS = 40
#: Filters of images, each of them and together: common ones, rare ones, and some that nothing suits.
NARROWED = (
    "group=positive",
    "reviewed=false",
    "group=unclear&label=NORMAL",
    "status=failed&priority=interactive",
    "status=succeeded&reviewed=false&priority=bulk&ordering=created_at",
    "group=unclear&label=PNEUMONIA",
    "label=PNEUMONIA",
    "warning=end_missing",
    "warning=end_missing&group=positive&reviewed=true",
    "warning=metadata_ignored",
    "reviewed=true&priority=interactive&created_before=2020-01-01",
    "group=unusable&reviewed=true&ordering=created_at",
    "search=IM-&group=negative",
    "source=upload",
)


#: Of each operation in milliseconds: the median and the 95th percentile of its time, and the median of what this
#: process computed for it, which other programs do not lengthen, and in which a server's own work is not.
Figures = dict[str, tuple[float, float, float]]


def measure(rounds: int) -> Figures:
    figures = {}
    for name, operation in operations(rounds).items():
        operation()  # the first fills caches of the process
        times, computed = [], []
        for _ in range(rounds):
            started, used = time.perf_counter(), time.process_time()
            operation()
            times.append((time.perf_counter() - started) * 1000)
            computed.append((time.process_time() - used) * 1000)
        figures[name] = (statistics.median(times), statistics.quantiles(times, n=20)[-1], statistics.median(computed))
    return figures


def operations(rounds: int) -> dict[str, Callable[[], Any]]:
    from django.contrib.auth.models import User
    from django.test import Client

    from webapp.http.pagination import Place
    from webapp.ops import metrics
    from webapp.retention import services as retention
    from webapp.studies import dispatch
    from webapp.studies.choices import Status
    from webapp.studies.models import Image, Study
    from webapp.studies.services import deletion, reading, reconciliation

    dispatch.send = dispatch.send_readings = lambda *_: True  # no broker is measured
    dispatch.messages_waiting = lambda queue: 0
    staff, _ = User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    browser, person, member = Client(), Client(), Client()
    browser.force_login(staff)
    clerk = Client()  # a member of one department
    clerk.force_login(User.objects.get(username="seed-1"))
    person.force_login(User.objects.get(username="seed-2"))
    member.force_login(User.objects.get(username="seed-0"))

    def get(url: str, by: Client = browser) -> Callable[[], Any]:
        def do() -> Any:
            answer = by.get(url)
            assert answer.status_code == 200, answer.content[:500]
            return answer

        return do

    def page_after(url: str, rows: Any, place: int) -> str:
        """The address of a page in the middle of a list, after so many rows if it has twice as many."""
        place = min(place, rows.count() // 2)
        moment, pk = rows.order_by("-created_at").values_list("created_at", "pk")[place]
        return f"{url}{'&' if '?' in url else '?'}cursor={Place(moment, pk).encoded()}"

    images = Image.objects.count()
    image = Image.objects.filter(status=Status.SUCCEEDED).first()
    largest = Study.objects.filter(name="study 0").get()
    waiting = Image.objects.filter(status=Status.READY)
    under_way = waiting.first().study

    def claim() -> None:
        ids = list(waiting.values_list("pk", flat=True)[:16])
        token = uuid4()
        assert len(reading.claim(token, uuid4(), "vgg16-pneumonia-1.2.0", ids)) == 16
        reading.return_unread(token, ids)

    def claim_by_turns() -> None:
        token = uuid4()
        held = reading.claim(token, uuid4(), "vgg16-pneumonia-1.2.0", [], 16)
        assert len(held) == 16
        reading.return_unread(token, [one.image_id for one in held])

    def delete() -> None:
        # By their key: looking them up is not what is measured.
        deletion.delete_images(Image.objects.filter(pk__in=batches.pop()))

    # At most a hundredth of the images, so that small databases can be measured too.
    size = min(deletion.CHUNK, images // 100 // (rounds + 1))
    doomed = list(Image.objects.filter(status=Status.FAILED).values_list("pk", flat=True)[: size * (rounds + 1)])
    batches = [doomed[start : start + size] for start in range(0, len(doomed), size)]
    return {
        "images, first page": get("/api/v1/images/"),
        "images, page in the middle": get(page_after("/api/v1/images/", Image.objects, images // 2)),
        "images, last page": get("/api/v1/images/?ordering=created_at"),
        "images, status=failed": get("/api/v1/images/?status=failed"),
        "images, search, one found": get(f"/api/v1/images/?search={image.filename}"),
        "images, search, all found": get("/api/v1/images/?search=IM-"),
        **{
            f"images, {query}": get(f"/api/v1/images/?{query}")
            for query in (*NARROWED, "department=seed&group=positive&reviewed=false")
        },
        **{f"a member's images, {query}": get(f"/api/v1/images/?{query}", member) for query in NARROWED},
        **{f"a clerk's images, {query}": get(f"/api/v1/images/?{query}", clerk) for query in NARROWED[:4]},
        "a narrowed list, middle": get(
            page_after(
                "/api/v1/images/?group=positive&reviewed=false",
                Image.objects.filter(owner__username="seed-0", group="positive", reviewed=False),
                images // 50,
            ),
            member,
        ),
        "page of all images": get("/images/"),
        "page of a member's images, narrowed": get("/images/?group=unclear&reviewed=false", member),
        "page of a member's studies": get("/studies/", member),
        "study of 5,000 by probability": get(f"/api/v1/studies/{largest.pk}/images/?ordering=-probability"),
        "page of a study of 5,000 by probability": get(f"/studies/{largest.pk}/?ordering=-probability&page=50"),
        "page of a study of 5,000, one group": get(f"/studies/{largest.pk}/?group=positive"),
        "images, one patient's": get(f"/api/v1/images/?patient={image.patient.identifier}"),
        "a person's images, first page": get("/api/v1/images/", person),
        "a person's images, middle": get(
            page_after("/api/v1/images/", Image.objects.filter(owner__username="seed-2"), images // 100), person
        ),
        "a member's images, first page": get("/api/v1/images/", member),
        "a member's images, middle": get(
            page_after("/api/v1/images/", Image.objects.filter(owner__username="seed-0"), images // 5), member
        ),
        "a member's images, status=failed": get("/api/v1/images/?status=failed", member),
        "a member's studies": get("/api/v1/studies/", member),
        "a member's latest": get("/", member),
        "studies, first page": get("/api/v1/studies/"),
        "studies, status=running": get("/api/v1/studies/?status=running"),
        "studies, status=finished": get("/api/v1/studies/?status=finished"),
        "studies, group=positive": get("/api/v1/studies/?group=positive"),
        "a member's studies, group=unclear&reviewed=false": get(
            "/api/v1/studies/?group=unclear&reviewed=false", member
        ),
        "patients, first page": get("/api/v1/patients/"),
        "status of an image": get(f"/api/v1/images/{image.pk}/"),
        "status of a study of 5,000": get(f"/api/v1/studies/{largest.pk}/"),
        "status of a study under way": get(f"/api/v1/studies/{under_way.pk}/"),
        "page 100 of a study of 5,000": get(f"/studies/{largest.pk}/?page=100"),
        "admin, images": get("/admin/studies/image/"),
        "admin, images, search": get(f"/admin/studies/image/?q={image.filename}"),
        "images, search, a tenth found": get("/api/v1/images/?search=IM-01"),
        "admin, studies": get("/admin/studies/study/"),
        "claim 16 and give them back": claim,
        "claim 16 by turns, give them back": claim_by_turns,
        "reconcile": lambda: reconciliation.reconcile(reconciliation.Workers()),
        "purge, nothing to do": lambda: retention.delete_expired(
            retention.Run(retention.PurgeReport(), time.monotonic() + 60)
        ),
        f"delete {size} images": delete,
        "metrics": metrics.exposition,
    }


def on(url: str, images: int, rounds: int, people: int, departments: int) -> Figures:
    """Fill an empty database and measure it, in processes of their own."""
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": tempfile.gettempdir()}
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
    seed = [*manage, "seed", "--images", str(images), "--studies", str(max(1, images // 10))]
    seed += ["--people", str(people), "--departments", str(departments)]
    subprocess.run(seed, cwd=ROOT, env=environment, check=True)
    return filled(url, rounds)


def filled(url: str, rounds: int) -> Figures:
    """Measure a database that is filled."""
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": tempfile.gettempdir(), "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "tests.benchmarks.scale", "--measure", f"--rounds={rounds}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def table(name: str, figures: Figures) -> None:
    print(f"\n{name:80} {'median':>9} {'95 %':>9} {'computed':>9}")
    for operation, (median, late, computed) in figures.items():
        print(f"{operation:80} {median:6.1f} ms {late:6.1f} ms {computed:6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--departments", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--on", choices=("sqlite", "postgresql"), help="only this database")
    parser.add_argument("--url", help="a database that is filled already; 100 images a round are deleted from it")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        import django
        from django.conf import settings

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
        # Nothing was collected, and there is no Redis.
        static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
        settings.STORAGES = {**settings.STORAGES, "staticfiles": static}
        settings.CACHES = {**settings.CACHES, "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        django.setup()
        print(json.dumps(measure(given.rounds)))
        return
    if given.url:
        table(given.url.split(":")[0], filled(given.url, given.rounds))
        return
    size = (given.images, given.rounds, given.people, given.departments)
    if given.on != "postgresql":
        with tempfile.TemporaryDirectory(prefix="pneumoqueue-scale-") as folder:
            table("SQLite", on(f"sqlite:///{Path(folder) / 'db.sqlite3'}", *size))
    if given.on != "sqlite" and servers.postgresql_programs():
        with servers.local_postgresql() as url:
            table("PostgreSQL", on(url, *size))


if __name__ == "__main__":
    main()
