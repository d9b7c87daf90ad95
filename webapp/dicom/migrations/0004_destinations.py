import uuid

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0007_least_sensitivity"),
        ("dicom", "0003_revision"),
    ]

    operations = [
        migrations.CreateModel(
            name="Destination",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                (
                    "host",
                    models.CharField(
                        max_length=255,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9])?$", "A name or an IP address."
                            )
                        ],
                    ),
                ),
                (
                    "port",
                    models.PositiveIntegerField(
                        default=104,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(65535),
                        ],
                    ),
                ),
                (
                    "called_ae",
                    models.CharField(
                        help_text="AE title that the destination is called by",
                        max_length=16,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[!-\\[\\]-~]([ -\\[\\]-~]*[!-\\[\\]-~])?$", "Only ASCII, without a backslash."
                            )
                        ],
                    ),
                ),
                (
                    "calling_ae",
                    models.CharField(
                        default="PNEUMOQUEUE",
                        help_text="AE title that we call ourselves",
                        max_length=16,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[!-\\[\\]-~]([ -\\[\\]-~]*[!-\\[\\]-~])?$", "Only ASCII, without a backslash."
                            )
                        ],
                    ),
                ),
                ("tls", models.BooleanField(default=False)),
                (
                    "sends",
                    models.CharField(
                        choices=[("both", "Report and picture"), ("report", "Report"), ("picture", "Picture")],
                        default="both",
                        max_length=10,
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_attempt_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("last_outcome", models.CharField(blank=True, editable=False, max_length=200)),
                (
                    "department",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="destinations",
                        to="departments.department",
                    ),
                ),
            ],
            options={
                "ordering": ["created_at", "id"],
            },
        ),
    ]
