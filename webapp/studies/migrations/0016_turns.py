"""Bulk images are read by turns. Those that wait while this runs come first, in the order of the index."""

from django.db import migrations, models

READY = "ready"


def come_first(apps, schema_editor):
    readings = apps.get_model("studies", "Reading").objects.using(schema_editor.connection.alias)
    readings.filter(state=READY).update(turn=0)


def hold_nothing(apps, schema_editor):
    """The release before does not know the state."""
    readings = apps.get_model("studies", "Reading").objects.using(schema_editor.connection.alias)
    readings.filter(state="held").update(state=READY)


class Migration(migrations.Migration):
    dependencies = [("studies", "0015_findable")]

    operations = [
        migrations.CreateModel(
            name="Turn",
            fields=[
                (
                    "owner",
                    models.CharField(
                        help_text="the kind of owner and their id", max_length=50, primary_key=True, serialize=False
                    ),
                ),
                ("turn", models.FloatField(db_index=True)),
            ],
        ),
        migrations.AddField(
            model_name="reading",
            name="turn",
            field=models.FloatField(
                blank=True, help_text="its place among those that wait, the smallest first", null=True
            ),
        ),
        migrations.AlterField(
            model_name="reading",
            name="state",
            field=models.CharField(
                choices=[
                    ("held", "Held"),
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
        migrations.RunPython(come_first, hold_nothing),
        migrations.AddIndex(
            model_name="reading",
            index=models.Index(fields=["state", "bundle", "-priority", "turn"], name="studies_rea_state_ef0cdb_idx"),
        ),
        migrations.RemoveIndex(model_name="reading", name="studies_rea_state_0f7670_idx"),
    ]
