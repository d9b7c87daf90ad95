"""Departments can choose a calibration on their own images."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("departments", "0007_least_sensitivity"),
    ]

    operations = [
        migrations.CreateModel(
            name="Calibration",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("bundle", models.CharField(help_text="the model's name and version", max_length=100)),
                ("slope", models.FloatField(help_text="of the log-odds of the model's score")),
                ("intercept", models.FloatField(help_text="added to them")),
                (
                    "unclear_from",
                    models.FloatField(help_text="probability, calibrated, below which no signs are found"),
                ),
                (
                    "positive_from",
                    models.FloatField(help_text="probability, calibrated, from which there are signs of pneumonia"),
                ),
                (
                    "answers",
                    models.JSONField(help_text="how often each answer is given, as of webapp.studies.models.Bundle"),
                ),
                ("chosen_at", models.DateTimeField(auto_now_add=True)),
                ("undone_at", models.DateTimeField(blank=True, null=True)),
                (
                    "chosen_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "department",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calibrations",
                        to="departments.department",
                    ),
                ),
            ],
            options={"ordering": ["-chosen_at", "-pk"]},
        ),
    ]
