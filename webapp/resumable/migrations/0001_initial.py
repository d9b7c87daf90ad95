import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("guest", models.UUIDField(blank=True, editable=False, null=True)),
                (
                    "key",
                    models.CharField(
                        blank=True,
                        help_text="SHA-256 of its sender and Idempotency-Key",
                        max_length=64,
                        null=True,
                        unique=True,
                    ),
                ),
                ("length", models.BigIntegerField(help_text="bytes of the whole file")),
                ("offset", models.BigIntegerField(default=0, help_text="bytes that have come and are on the disk")),
                ("metadata", models.CharField(blank=True, help_text="as the client sent it", max_length=4096)),
                ("given", models.JSONField(default=dict, help_text="what the metadata says of the file")),
                (
                    "state",
                    models.CharField(
                        choices=[("receiving", "Receiving"), ("finished", "Finished"), ("refused", "Refused")],
                        default="receiving",
                        max_length=10,
                    ),
                ),
                ("image", models.UUIDField(blank=True, help_text="that was made of it", null=True)),
                (
                    "study",
                    models.UUIDField(blank=True, help_text="that was made of it, or that it was added to", null=True),
                ),
                (
                    "report",
                    models.JSONField(default=dict, help_text="of the files: skipped, refused, duplicates"),
                ),
                ("error_code", models.CharField(blank=True, max_length=64)),
                ("error_detail", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
    ]
