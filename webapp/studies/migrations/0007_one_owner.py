"""Every row has one owner, before the database insists on it."""

from django.db import migrations
from django.db.models import F


def give_each_one_owner(apps, schema_editor):
    for name in ("Patient", "Study", "Image"):
        rows = apps.get_model("studies", name).objects.using(schema_editor.connection.alias)
        rows.filter(owner__isnull=False, guest__isnull=False).update(guest=None)
        # Nobody holds a token for this guest: as before, only administrators see the row.
        rows.filter(owner__isnull=True, guest__isnull=True).update(guest=F("id"))


class Migration(migrations.Migration):
    dependencies = [("studies", "0006_operating_point")]

    operations = [migrations.RunPython(give_each_one_owner, migrations.RunPython.noop)]
