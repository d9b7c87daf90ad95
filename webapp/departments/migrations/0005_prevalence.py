import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0004_settings_and_service_accounts"),
    ]

    operations = [
        migrations.AddField(
            model_name="department",
            name="prevalence",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="of 100 children who are X-rayed in it, how many have pneumonia; blank for 20",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(99),
                ],
            ),
        ),
    ]
