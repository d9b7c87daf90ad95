"""ZIPs are unpacked and bulk images prepared by turns. Those that wait while this runs come first."""

from django.db import migrations, models


def forget(apps, schema_editor):
    """The release before has shorter names for owners, and begins anew."""
    apps.get_model("studies", "Turn").objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    dependencies = [("studies", "0020_search_by_one_index")]

    operations = [
        migrations.AddField(
            model_name="archive",
            name="turn",
            field=models.FloatField(
                blank=True, help_text="its place among those to unpack, the smallest first", null=True
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="turn",
            field=models.FloatField(
                blank=True, help_text="its place among those to prepare, the smallest first", null=True
            ),
        ),
        migrations.AlterField(
            model_name="turn",
            name="owner",
            field=models.CharField(
                help_text="the line, the kind of owner and their id", max_length=64, primary_key=True, serialize=False
            ),
        ),
        migrations.RunPython(migrations.RunPython.noop, forget),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(("turn__isnull", False)), fields=["status", "turn"], name="image_in_line"
            ),
        ),
    ]
