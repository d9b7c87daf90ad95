"""What a delivery is about, as a column: it is deleted with that."""

from uuid import UUID

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

BATCH = 500


def fill(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Take it from the payloads of those that there are, which are of the last 30 days."""
    deliveries = apps.get_model("outbox", "Delivery")._base_manager.using(editor.connection.alias)
    changed = []
    for delivery in deliveries.only("pk", "payload").iterator(chunk_size=2000):
        payload = delivery.payload
        named = payload.get("image") or payload.get("study") or next(iter(payload.get("images", ())), None)
        if named:
            delivery.subject = UUID(named)
            changed.append(delivery)
    deliveries.bulk_update(changed, ["subject"], batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0003_delivery_attempt_log"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="subject",
            field=models.UUIDField(blank=True, help_text="the image or study that it is about", null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["subject"], name="outbox_of_subject"),
        ),
    ]
