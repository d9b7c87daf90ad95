"""Members of staff who are no superusers could see and do everything; a permission says so from now on."""

from django.db import migrations

CODENAME = "administer"


def give_permission(apps, schema_editor):
    # Django makes content types and permissions after all migrations; the users need this one now.
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="departments", model="department"
    )
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename=CODENAME, defaults={"name": "Can see and do everything, in every department"}
    )
    for user in apps.get_model("auth", "User").objects.filter(is_staff=True, is_superuser=False):
        user.user_permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(give_permission, migrations.RunPython.noop)]
