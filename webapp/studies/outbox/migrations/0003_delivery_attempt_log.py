from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0002_of_destination"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="attempt_log",
            field=models.JSONField(
                blank=True,
                help_text="its attempts, the oldest first: when each began, its outcome, and its seconds",
                null=True,
            ),
        ),
    ]
