"""Departments can have their managers told when the model finds too few of their readers' pneumonias."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("departments", "0006_second_reading")]

    operations = [
        migrations.AddField(
            model_name="department",
            name="least_sensitivity",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="of 100 pneumonias by its readers, how many the model has to find at least; blank for no alert",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(50),
                    django.core.validators.MaxValueValidator(99),
                ],
            ),
        ),
    ]
