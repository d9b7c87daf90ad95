from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0005_finished_by_status")]

    operations = [
        migrations.AddField(
            "prediction",
            "operating_point",
            models.CharField(
                max_length=100, blank=True, default="", db_default="", help_text="the threshold's name in the bundle"
            ),
        ),
    ]
