"""Names that were stored before names were normalised: a search would not find what macOS has named."""

from typing import Any
from unicodedata import is_normalized, normalize

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

OWNERS = ("owner_id", "guest", "department_id")
BATCH = 500


def normalise_names(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    alias = editor.connection.alias
    for model, field in (("Image", "filename"), ("Study", "name")):
        rows = apps.get_model("studies", model)._base_manager.using(alias)
        changed = []
        for row in _in_another_form(rows, field):
            setattr(row, field, normalize("NFC", getattr(row, field)))
            changed.append(row)
        rows.bulk_update(changed, [field], batch_size=BATCH)
    patients = apps.get_model("studies", "Patient")._base_manager.using(alias)
    for patient in list(_in_another_form(patients, "identifier", *OWNERS)):
        identifier = normalize("NFC", patient.identifier)
        owner = {name: getattr(patient, name) for name in OWNERS}
        same = patients.filter(identifier=identifier, **owner).exclude(pk=patient.pk).first()
        if same is None:
            patients.filter(pk=patient.pk).update(identifier=identifier)
            continue
        for model in ("Image", "Study"):
            apps.get_model("studies", model)._base_manager.using(alias).filter(patient=patient).update(patient=same)
        patients.filter(pk=patient.pk).delete()


def _in_another_form(rows: Any, field: str, *more: str) -> Any:
    for row in rows.only("pk", field, *more).iterator(chunk_size=2000):
        if not is_normalized("NFC", getattr(row, field)):
            yield row


class Migration(migrations.Migration):
    dependencies = [("studies", "0016_turns")]

    operations = [
        # Going back leaves the names: an earlier release shows either form.
        migrations.RunPython(normalise_names, migrations.RunPython.noop, elidable=True),
    ]
