import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    """A row for each start of a worker. What the table holds is only true while they run, so it is made anew."""

    dependencies = [("ops", "0002_reconciliation")]

    operations = [
        migrations.DeleteModel("Worker"),
        migrations.CreateModel(
            "Worker",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=255)),
                ("role", models.CharField(max_length=20)),
                ("model", models.CharField(blank=True, max_length=100)),
                ("device", models.CharField(blank=True, max_length=100)),
                (
                    "max_batch",
                    models.PositiveIntegerField(default=0, help_text="images that it reads together at most"),
                ),
                ("ready", models.BooleanField(default=False)),
                ("seen_at", models.DateTimeField()),
                (
                    "missed",
                    models.PositiveIntegerField(default=0, help_text="reconciliations since its last sign of life"),
                ),
            ],
        ),
    ]
