"""Which images somebody has asked a second reading of, whatever their department wants."""

from importlib import import_module

from django.db import migrations, models

AddColumn = import_module("webapp.studies.migrations.0015_findable").AddColumn


class Migration(migrations.Migration):
    dependencies = [("studies", "0024_searches_without_rows")]

    operations = [
        AddColumn(
            "image",
            "second_asked",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="whether somebody has asked for a second reading of this image",
            ),
        ),
    ]
