"""Readers' verdicts stand in the place of the model's answers, and images are found in the order of a worklist."""

from importlib import import_module

from django.db import migrations, models

AddColumn = import_module("webapp.studies.migrations.0015_findable").AddColumn
SECTION = ["stage", "stat", "group", "created_at", "id"]


def text(default="", **more):
    return models.CharField(max_length=10, default=default, db_default=default, **more)


def stat():
    return models.BooleanField(default=False, db_default=False, help_text="to be read by people before all others")


class Migration(migrations.Migration):
    dependencies = [("studies", "0021_turns_of_preparing")]

    operations = [
        AddColumn("study", "stat", stat()),
        AddColumn("image", "stat", stat()),
        AddColumn(
            "image",
            "stage",
            text(
                "unread",
                choices=[
                    ("unread", "to be read"),
                    ("second", "second reading"),
                    ("disagreed", "readers disagree"),
                    ("done", "reviewed"),
                ],
            ),
        ),
        AddColumn(
            "image",
            "verdict",
            text(
                blank=True,
                choices=[
                    ("PNEUMONIA", "Pneumonia"),
                    ("NORMAL", "Normal"),
                    ("UNUSABLE", "Not usable"),
                    ("UNSURE", "Not sure"),
                ],
                help_text="the one that stands",
            ),
        ),
        AddColumn(
            "image",
            "verdict_kind",
            text(blank=True, choices=[("bacterial", "bacterial"), ("viral", "viral")]),
        ),
        migrations.AlterField(
            "image",
            "group",
            text(
                blank=True,
                choices=[
                    ("positive", "Signs of pneumonia"),
                    ("unclear", "Unclear: have it read first"),
                    ("negative", "No signs of pneumonia found"),
                    ("unusable", "Probably no usable chest X-ray"),
                ],
                help_text="by the verdict that stands, else by the model",
            ),
        ),
        *(
            migrations.AddIndex(
                "image",
                models.Index(
                    fields=[*first, *SECTION],
                    condition=models.Q(**{f"{first[0]}__isnull": False}) if first else None,
                    name=f"studies_image_{name}_work",
                ),
            )
            for first, name in ((["owner"], "owne"), (["department"], "depa"), ([], "all"))
        ),
    ]
