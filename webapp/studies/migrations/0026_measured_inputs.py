"""What images that come in look like, and how far they are from what the model learnt from."""

from importlib import import_module

from django.db import migrations, models

AddColumn = import_module("webapp.studies.migrations.0015_findable").AddColumn


class Migration(migrations.Migration):
    dependencies = [("studies", "0025_second_asked")]

    operations = [
        AddColumn(
            "image",
            "brightness",
            models.FloatField(
                null=True,
                blank=True,
                help_text="the X-ray's mean grey level, 0 to 255, before it is made the model's input",
            ),
        ),
        AddColumn(
            "reading",
            "distance",
            models.FloatField(
                null=True, blank=True, help_text="from the X-rays that the model learnt from; beyond 1 it is flagged"
            ),
        ),
        migrations.AddField(
            "bundle",
            "inputs",
            models.JSONField(default=dict, help_text="what it learnt from looks like; see ml.evaluation.inputs"),
        ),
    ]
