"""Members of staff who are no superusers could see and do everything; a permission says so from now on."""

from django.db import migrations

CODENAME = "administer"


def give_permission(apps, schema_editor):
    # Django makes content types and permissions after all migrations; the users need this one now.
    kinds, permissions, users = (
        apps.get_model(*model).objects.using(schema_editor.connection.alias)
        for model in (("contenttypes", "ContentType"), ("auth", "Permission"), ("auth", "User"))
    )
    kind, _ = kinds.get_or_create(app_label="departments", model="department")
    permission, _ = permissions.get_or_create(
        content_type=kind, codename=CODENAME, defaults={"name": "Can see and do everything, in every department"}
    )
    for user in users.filter(is_staff=True, is_superuser=False):
        user.user_permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(give_permission, migrations.RunPython.noop)]
