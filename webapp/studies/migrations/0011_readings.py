"""An image has a reading for each model, in place of one prediction.

Every row is kept, forwards and back; going back drops the readings of shadows, for which there was no place. Stop the
workers and the web processes first. What they write all the same until this has its locks is carried over.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

CHUNK = 500
NOT_CHEST_XRAY = "not_chest_xray"
#: The operating points of the bundles that were released before results recorded them.
RELEASED = {
    "vgg16-pneumonia-1.1.0": {"balanced": 0.8606, "screening": 0.605},
    "vgg16-pneumonia-1.2.0": {"balanced": 0.8598, "screening": 0.2311},
}
#: As webapp.studies.choices has it at this migration.
SCREENING_FLOOR = 0.2311
#: What of an image belongs to its reading from now on.
MOVED = ("input", "attempts", "claim", "claimed_at", "ready_at", "dispatched_at", "dispatches")


def lock(schema_editor, *tables):
    """Keep others from writing until the migration ends. SQLite has done so with the transaction's beginning."""
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "postgresql":
            cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        elif schema_editor.connection.vendor == "mysql":
            cursor.execute(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in tables)}")


def unlock(schema_editor):
    if schema_editor.connection.vendor == "mysql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("UNLOCK TABLES")


def chunks(rows):
    """Rows by their keys, some at a time."""
    chunk = list(rows.order_by("pk")[:CHUNK])
    while chunk:
        yield chunk
        chunk = list(rows.filter(pk__gt=chunk[-1].pk).order_by("pk")[:CHUNK])


def group_of(probability, threshold, points, warnings):
    positive = points.get("balanced", threshold)
    if any(warning["code"] == NOT_CHEST_XRAY for warning in warnings):
        return "unusable"
    if probability >= positive:
        return "positive"
    return "unclear" if probability >= min(points.get("screening", SCREENING_FLOOR), positive) else "negative"


def result_of(prediction):
    """The columns of a reading's result."""
    points = RELEASED.get(prediction.model, {})
    return {
        "bundle": prediction.model,
        "probabilities": {"NORMAL": prediction.normal, "PNEUMONIA": prediction.pneumonia},
        "probability": prediction.pneumonia,
        "label": prediction.label,
        "group": group_of(prediction.pneumonia, prediction.threshold, points, prediction.warnings),
        "threshold": prediction.threshold,
        "operating_point": prediction.operating_point,
        "operating_points": points,
        "warnings": prediction.warnings,
        "heatmap": prediction.heatmap,
        "batch_size": prediction.batch_size,
        "seconds": prediction.seconds,
        "finished_at": prediction.created_at,
    }


def make_readings(apps, schema_editor):
    lock(schema_editor, "studies_image", "studies_prediction", "studies_reading")
    alias = schema_editor.connection.alias
    Image, Reading = (apps.get_model("studies", name) for name in ("Image", "Reading"))
    prepared = Image.objects.using(alias).filter(
        ~Q(input="") | Q(ready_at__isnull=False) | Q(prediction__isnull=False) | Q(status__in=("ready", "running")),
    )
    for images in chunks(prepared.exclude(status="queued").select_related("prediction")):
        Reading.objects.using(alias).bulk_create(
            Reading(
                **{
                    "image_id": image.pk,
                    "priority": image.priority,
                    "state": image.status,
                    "finished_at": image.finished_at,
                    "error_code": image.error_code,
                    "error_detail": image.error_detail,
                    # Not recorded; one that waits is prepared again, for the model that there is.
                    "bundle": "",
                    **{name: getattr(image, name) for name in MOVED},
                    **(result_of(image.prediction) if hasattr(image, "prediction") else {}),
                }
            )
            for image in images
        )


def make_predictions(apps, schema_editor):
    lock(schema_editor, "studies_image", "studies_prediction", "studies_reading")
    alias = schema_editor.connection.alias
    Image, Prediction, Reading = (apps.get_model("studies", name) for name in ("Image", "Prediction", "Reading"))
    Prediction._meta.get_field("created_at").auto_now_add = False
    primary = Reading.objects.using(alias).filter(shadow=False)
    for readings in chunks(primary.select_related("image")):
        for reading in readings:
            for name in MOVED:
                setattr(reading.image, name, getattr(reading, name))
            if reading.state != "running":
                reading.image.claim = None
        Image.objects.using(alias).bulk_update([reading.image for reading in readings], MOVED)
        Prediction.objects.using(alias).bulk_create(
            Prediction(
                image_id=reading.image_id,
                model=reading.bundle,
                normal=reading.probabilities.get("NORMAL", 1 - reading.probability),
                pneumonia=reading.probability,
                threshold=reading.threshold,
                operating_point=reading.operating_point,
                label=reading.label[:10],
                warnings=reading.warnings,
                heatmap=reading.heatmap,
                batch_size=reading.batch_size,
                seconds=reading.seconds,
                created_at=reading.finished_at,
            )
            for reading in readings
            if reading.state == "succeeded"
        )
    unlock(schema_editor)


def end(apps, schema_editor):
    """An image that is to be read and has no reading is prepared again; this only finds one that came between."""
    Image, Reading = (apps.get_model("studies", name) for name in ("Image", "Reading"))
    alias = schema_editor.connection.alias
    lost = Image.objects.using(alias).filter(status__in=("ready", "running"))
    for image in lost.values_list("pk", flat=True):
        if not Reading.objects.using(alias).filter(image_id=image).exists():
            Image.objects.using(alias).filter(pk=image).update(status="queued", attempts=0)
    unlock(schema_editor)


class Migration(migrations.Migration):
    dependencies = [("studies", "0010_archive_claims")]

    operations = [
        migrations.CreateModel(
            name="Reading",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "bundle",
                    models.CharField(
                        help_text="the model's name and version; empty where it is not known", max_length=100
                    ),
                ),
                (
                    "shadow",
                    models.BooleanField(default=False, help_text="of a second model, beside the one that counts"),
                ),
                (
                    "priority",
                    models.CharField(
                        choices=[("interactive", "Interactive"), ("bulk", "Bulk")],
                        help_text="its image's",
                        max_length=12,
                    ),
                ),
                (
                    "input",
                    models.FileField(
                        blank=True,
                        help_text="the model's exact input, 8-bit greyscale PNG",
                        max_length=255,
                        upload_to="",
                    ),
                ),
                ("input_sha256", models.CharField(blank=True, default="", max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("ready", "Ready"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="ready",
                        max_length=10,
                    ),
                ),
                ("claim", models.UUIDField(blank=True, help_text="the batch that reads it, or has read it", null=True)),
                ("worker", models.UUIDField(blank=True, help_text="the worker of that batch", null=True)),
                (
                    "attempts",
                    models.PositiveSmallIntegerField(default=0, help_text="batches begun with it that did not end"),
                ),
                ("dispatched_at", models.DateTimeField(help_text="when its latest message was sent")),
                ("dispatches", models.PositiveSmallIntegerField(default=1, help_text="messages sent for it")),
                ("ready_at", models.DateTimeField(blank=True, null=True)),
                ("claimed_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("probabilities", models.JSONField(blank=True, default=dict, help_text="by the bundle's class names")),
                ("probability", models.FloatField(blank=True, help_text="of pneumonia", null=True)),
                ("label", models.CharField(blank=True, help_text="the bundle's, by its threshold", max_length=100)),
                (
                    "group",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("positive", "Signs of pneumonia"),
                            ("unclear", "Unclear: have it read first"),
                            ("negative", "No signs of pneumonia found"),
                            ("unusable", "Probably no usable chest X-ray"),
                        ],
                        max_length=10,
                    ),
                ),
                ("threshold", models.FloatField(blank=True, null=True)),
                (
                    "operating_point",
                    models.CharField(blank=True, help_text="the threshold's name in the bundle", max_length=100),
                ),
                (
                    "operating_points",
                    models.JSONField(blank=True, default=dict, help_text="the bundle's thresholds by name"),
                ),
                ("warnings", models.JSONField(blank=True, default=list)),
                (
                    "heatmap",
                    models.BinaryField(
                        default=b"",
                        help_text="what the reading rests on: a square of bytes, row by row, the strongest place 255",
                    ),
                ),
                ("batch_size", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("seconds", models.FloatField(blank=True, help_text="the batch's time in the model", null=True)),
                ("error_code", models.CharField(blank=True, max_length=64)),
                ("error_detail", models.CharField(blank=True, max_length=500)),
                (
                    "image",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="readings",
                        to="studies.image",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("image", "bundle"), name="one_reading_a_bundle")],
                "indexes": [
                    models.Index(
                        fields=["state", "bundle", "-priority", "dispatched_at"], name="studies_rea_state_0f7670_idx"
                    )
                ],
            },
        ),
        migrations.RunPython(make_readings, make_predictions),
        migrations.RemoveField("image", "claim"),
        migrations.RemoveField("image", "claimed_at"),
        migrations.RemoveField("image", "input"),
        migrations.RemoveField("image", "ready_at"),
        migrations.DeleteModel("Prediction"),
        migrations.RunPython(end, migrations.RunPython.noop),
        migrations.AlterField(
            "image",
            "attempts",
            models.PositiveSmallIntegerField(default=0, help_text="starts of its preparation that did not end"),
        ),
        migrations.AlterField(
            "image", "dispatched_at", models.DateTimeField(help_text="when the latest message to prepare it was sent")
        ),
        migrations.AlterField(
            "image",
            "dispatches",
            models.PositiveSmallIntegerField(default=1, help_text="messages sent to prepare it"),
        ),
    ]
