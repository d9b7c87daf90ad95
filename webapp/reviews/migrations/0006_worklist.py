"""Verdicts have a kind and a history, and who has an image open is noted."""

from importlib import import_module

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

AddColumn = import_module("webapp.studies.migrations.0015_findable").AddColumn


def verdict():
    choices = [
        ("PNEUMONIA", "Pneumonia"),
        ("NORMAL", "Normal"),
        ("UNUSABLE", "Not usable"),
        ("UNSURE", "Not sure"),
    ]
    return models.CharField(choices=choices, max_length=10)


def kind():
    return models.CharField(
        blank=True,
        choices=[("bacterial", "bacterial"), ("viral", "viral")],
        db_default="",
        default="",
        help_text="of a pneumonia; empty for another kind, or where it is not said",
        max_length=10,
    )


def key():
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0005_reviewed"),
        ("studies", "0022_worklist"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddColumn(
            "review",
            "decides",
            models.BooleanField(
                db_default=False, default=False, help_text="of a third reader, who saw that the others disagree"
            ),
        ),
        AddColumn("review", "kind", kind()),
        migrations.AlterField("review", "verdict", verdict()),
        migrations.CreateModel(
            name="EarlierReview",
            fields=[
                ("id", key()),
                ("verdict", verdict()),
                ("kind", kind()),
                ("comment", models.CharField(blank=True, max_length=1000)),
                ("given_at", models.DateTimeField()),
                (
                    "review",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="earlier", to="reviews.review"
                    ),
                ),
            ],
            options={"ordering": ["given_at", "pk"]},
        ),
        migrations.CreateModel(
            name="Opening",
            fields=[
                ("id", key()),
                ("opened_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(db_index=True, help_text="unless the open page renews it")),
                (
                    "image",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="openings",
                        to="studies.image",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("image", "user"), name="one_opening_a_user")],
            },
        ),
    ]
