"""Departments can have each image read by two people."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("departments", "0005_prevalence")]

    operations = [
        migrations.AddField(
            model_name="department",
            name="second_reading",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="have each image read by two people, the second of whom does not know what the first one says",
            ),
        ),
    ]
