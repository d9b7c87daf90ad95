from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("studies", "0018_lists_in_order"),
    ]

    operations = [
        migrations.CreateModel(
            name="Bundle",
            fields=[
                (
                    "name",
                    models.CharField(
                        help_text="its name and version, as readings have it",
                        max_length=100,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "answers",
                    models.JSONField(default=dict, help_text="how often each answer was given; see ml.bundles.answers"),
                ),
            ],
        ),
    ]
