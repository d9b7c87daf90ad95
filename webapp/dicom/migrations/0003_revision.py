import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import webapp.dicom.models


class Migration(migrations.Migration):
    dependencies = [
        ("dicom", "0002_peers"),
        ("studies", "0027_open_studies"),
    ]

    operations = [
        migrations.CreateModel(
            name="Revision",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("number", models.PositiveSmallIntegerField(help_text="1 for the first")),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "version",
                    models.CharField(
                        default=webapp.dicom.models.service_version, help_text="the service's", max_length=40
                    ),
                ),
                ("bundle", models.CharField(max_length=100)),
                ("probability", models.FloatField(blank=True, null=True)),
                ("threshold", models.FloatField(blank=True, null=True)),
                ("operating_point", models.CharField(blank=True, max_length=100)),
                (
                    "group",
                    models.CharField(
                        choices=[
                            ("positive", "Signs of pneumonia"),
                            ("unclear", "Unclear: have it read first"),
                            ("negative", "No signs of pneumonia found"),
                            ("unusable", "Probably no usable chest X-ray"),
                        ],
                        help_text="the model's",
                        max_length=10,
                    ),
                ),
                ("warnings", models.JSONField(blank=True, default=list, help_text="their codes")),
                (
                    "verdict",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("PNEUMONIA", "Pneumonia"),
                            ("NORMAL", "Normal"),
                            ("UNUSABLE", "Not usable"),
                            ("UNSURE", "Not sure"),
                        ],
                        help_text="of a reader, where it overrules the model",
                        max_length=10,
                    ),
                ),
                (
                    "verdict_kind",
                    models.CharField(
                        blank=True, choices=[("bacterial", "bacterial"), ("viral", "viral")], max_length=10
                    ),
                ),
                (
                    "image",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="revisions",
                        to="studies.image",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("image", "number"), name="dicom_one_revision_a_number")
                ],
            },
        ),
    ]
