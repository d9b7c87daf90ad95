"""Commands on a test's database, each run in a process of its own: ``python -m tests.upgrades.clinic COMMAND …``.

Rows are read and written with the historical models of a migration, so that no code of this release is needed to know
what an earlier one does.
"""

import json
import os
import sys
import time
from typing import Any
from uuid import uuid4

import django
from django.db import DatabaseError, connection, connections, models, transaction

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
#: Apps whose tables are compared: lasting data, and not the state of running processes.
APPS = ("auth", "studies", "reviews")
RELEASE, REVIEWS = "0005_finished_by_status", "0002_radiologists"
#: Tables that the migrations of every installation fill; they are not compared.
MADE_BY_MIGRATIONS = ("auth.permission", "auth.group", "auth.group_permissions")


def models_at(name: str) -> list[type[models.Model]]:
    """The models of these apps at a migration of studies, each after the models that it refers to."""
    from django.db.migrations.loader import MigrationLoader

    from webapp.transfer.rows import all_models, label

    loader = MigrationLoader(connection)
    leaves = loader.graph.leaf_nodes()
    latest = ("studies", name) in leaves
    targets = [key for key in leaves if key[0] in ("auth", "contenttypes") or (latest and key[0] == "reviews")]
    # Later migrations of reviews need later ones of studies.
    reviews = [] if latest else [("reviews", REVIEWS)]
    apps = loader.project_state([*targets, *reviews, ("studies", name)]).apps
    order = {label(model): place for place, model in enumerate(all_models())}
    historical = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in APPS and model._meta.label_lower not in MADE_BY_MIGRATIONS
    ]
    return sorted(historical, key=lambda model: order.get(model._meta.label_lower, len(order)))


def load(file: str) -> None:
    """Load the rows of an SQLite file of release 0.1.0 into a database of that release."""
    from webapp.config import databases

    settings = databases.from_url(f"sqlite:///{file}")
    connections.settings["old"] = connections.configure_settings({"default": settings})["default"]
    release_models = models_at(RELEASE)
    with transaction.atomic():
        for model in reversed(release_models):
            model._base_manager.all().delete()
        for model in release_models:
            for field in model._meta.concrete_fields:
                for option in ("auto_now", "auto_now_add"):
                    if getattr(field, option, False):
                        setattr(field, option, False)
            model._base_manager.bulk_create(list(model._base_manager.using("old").order_by("pk")))


def dump(name: str) -> None:
    """Print all rows as JSON, by table."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for model in models_at(name):
        rows = model._base_manager.order_by("pk")
        tables[model._meta.label_lower] = [
            {field.attname: _plain(field.value_from_object(row)) for field in model._meta.concrete_fields}
            for row in rows
        ]
    print(json.dumps(tables, default=str))


def _plain(value: Any) -> Any:
    return bytes(value).hex() if isinstance(value, memoryview | bytes) else value


def write(name: str) -> None:
    """Write as the code of a migration's release does until the tables change; print what was committed."""
    from django.utils import timezone

    apps = {model.__name__: model for model in models_at(name)}
    Image, Prediction = apps["Image"], apps["Prediction"]
    committed: dict[str, str] = {}
    print("writing", flush=True)
    try:
        while True:
            now = timezone.now()
            image = Image(guest=uuid4(), filename="late.jpeg", file="uploads/late.jpeg", size=1, dispatched_at=now)
            image.save(force_insert=True)
            committed[str(image.pk)] = "queued"
            Image.objects.filter(pk=image.pk).update(status="ready", input="inputs/late.png", ready_at=now)
            committed[str(image.pk)] = "ready"
            with transaction.atomic():
                Prediction.objects.create(
                    image=image, model="vgg16-pneumonia-1.1.0", normal=0.1, pneumonia=0.9, threshold=0.8606,
                    label="PNEUMONIA", heatmap=b"", batch_size=1, seconds=0.1,
                )  # fmt: skip
                Image.objects.filter(pk=image.pk).update(status="succeeded", finished_at=now)
            committed[str(image.pk)] = "succeeded"
            time.sleep(0.02)
    except DatabaseError as error:
        print(json.dumps({"committed": committed, "error": str(error)}), flush=True)


if __name__ == "__main__":
    django.setup()
    {"load": load, "dump": dump, "write": write}[sys.argv[1]](*sys.argv[2:])
