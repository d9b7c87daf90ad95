"""The requests of readers, managers and administrators that :mod:`tests.benchmarks.scale` measures."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.benchmarks.scale_reading import RADIOLOGIST, READER
from tests.benchmarks.scale_requests import get, post
from tests.benchmarks.scale_rows import ADMINISTRATOR, MANAGER
from webapp.reviews.sections import SECTIONS, Place
from webapp.studies.choices import ResultGroup, ReviewStage, Status, Verdict
from webapp.studies.models import Image, Study

FILTERS = (
    "", "stat=true", "stat=false", *(f"group={group.value}" for group in ResultGroup),
    *(f"stage={stage.value}" for stage in ReviewStage), "group=unclear&stage=second", "group=negative&stage=done",
    "waiting_hours=72", "waiting_hours=8000", "department=seed", "department=seed&group=positive&waiting_hours=72",
)  # fmt: skip


def operations() -> dict[str, Callable[[], Any]]:
    operations_by_name = {}
    for role, name in (
        ("reader", READER), ("manager", MANAGER), ("radiologist of 20", RADIOLOGIST), ("administrator", ADMINISTRATOR)
    ):  # fmt: skip
        user = User.objects.get(username=name)
        client = Client()
        client.force_login(user)
        operations_by_name |= {f"{role}: {operation}": run for operation, run in _worklist(client, user).items()}
        if role in ("manager", "administrator"):
            operations_by_name |= {f"{role}: {operation}": run for operation, run in _queues(client).items()}
    return operations_by_name


def _deep(section: dict[str, Any], *, backwards: bool = False) -> str:
    """A cursor that is half a year back in a section."""
    place = Place(SECTIONS.index(section), timezone.now() - timedelta(days=180), UUID(int=0))
    return f"cursor={place.encoded(backwards=backwards)}"


def _worklist(client: Client, user: User) -> dict[str, Callable[[], Any]]:
    first = {"stage": "unread", "stat": False, "group": "positive"}
    last = {"stage": "unread", "stat": False, "group": "negative"}
    done = {"stage": "done", "stat": False, "group": "positive"}
    large = Study.objects.get(name="study 0")
    image = Image.objects.filter(department__slug="seed", stage=ReviewStage.UNREAD, group="unclear", stat=False)
    image = image.filter(study__isnull=False).order_by("created_at")[1000]
    queries = {
        **{query: query for query in FILTERS},
        "deep": _deep(first),
        "deep, the last section": _deep(last),
        "deep, backwards": _deep(last, backwards=True),
        "stage=done, deep": f"stage=done&{_deep(done)}",
        "group=positive, deep": f"group=positive&{_deep(first)}",
        "waiting_hours=72, deep": f"waiting_hours=72&{_deep(last)}",
        "of a study": f"study={image.study_id}",
    }
    operations_by_name = {}
    for name, query in queries.items():
        operations_by_name[f"worklist (API) {name}"] = get(f"/api/v1/worklist/?{query}", client)
        operations_by_name[f"worklist {name}"] = get(f"/worklist/?{query}", client)
    path = f"/worklist/images/{image.pk}/"
    others = [other.pk for other in image.study.images.filter(status=Status.SUCCEEDED)[:5]]
    operations_by_name |= {
        "worklist's image, next and previous": get(path, client),
        "worklist's image, group=unclear": get(f"{path}?group=unclear", client),
        "worklist's image, stage=done": get(f"{path}?stage=done", client),
        "worklist's image, of its study": get(f"{path}?study={image.study_id}", client),
        "worklist's image is kept open": post(client, f"{path}open/", {"left": str(others[0])}),
        "give a verdict, change it": post(
            client, f"/api/v1/images/{image.pk}/reviews/", {"verdict": Verdict.NORMAL}, {"verdict": Verdict.UNSURE},
            put=True,
        ),
        "mark five images STAT, and not": post(
            client, "/worklist/mark/", {"action": "stat", "images": others}, {"action": "routine", "images": others},
            status=302,
        ),
    }  # fmt: skip
    if user.username == ADMINISTRATOR:
        large_image = Image.objects.filter(study=large, stage=ReviewStage.UNREAD).exclude(group="")[0]
        operations_by_name |= {
            "worklist of a study of 5,000": get(f"/worklist/?study={large.pk}", client),
            "worklist's image of a study of 5,000": get(f"/worklist/images/{large_image.pk}/?study={large.pk}", client),
        }
    return operations_by_name


def _queues(client: Client) -> dict[str, Callable[[], Any]]:
    image = Image.objects.filter(department__slug="seed", status=Status.SUCCEEDED).order_by("-created_at")[0]
    pause = post(client, "/departments/seed/queue/pause/", {"reason": ""}, status=302)
    resume = post(client, "/departments/seed/queue/resume/", {}, status=302)
    return {
        "agreement with readers": get("/agreement/", client),
        "agreement with readers, of a department": get("/agreement/?department=seed", client),
        "agreement with readers (API)": get("/api/v1/agreement/", client),
        "agreement with readers (table)": get("/agreement/table.csv", client),
        "queue page": get("/queue/", client),
        "queue page's figures": get("/queue/figures/", client),
        "queues (API)": get("/api/v1/queues/", client),
        "what failed with a code, before it is read again": get("/queue/retry/?code=image_truncated", client),
        "an image's timeline": get(f"/images/{image.pk}/timeline/", client),
        "before a department is paused": get("/departments/seed/queue/pause/", client),
        "pause and resume a department": lambda: (pause(), resume()),
    }
