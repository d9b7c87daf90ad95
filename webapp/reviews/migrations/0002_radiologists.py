"""The group whose members' verdicts count."""

from django.db import migrations

GROUP = "Radiologists"


def make_group(apps, schema_editor):
    # Django makes content types and permissions after all migrations; the group needs these now.
    kinds, permissions, groups = (
        apps.get_model(*model).objects.using(schema_editor.connection.alias)
        for model in (("contenttypes", "ContentType"), ("auth", "Permission"), ("auth", "Group"))
    )
    kind, _ = kinds.get_or_create(app_label="reviews", model="review")
    permission, _ = permissions.get_or_create(
        content_type=kind, codename="add_review", defaults={"name": "Can add review"}
    )
    group, _ = groups.get_or_create(name=GROUP)
    group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_group, migrations.RunPython.noop)]
