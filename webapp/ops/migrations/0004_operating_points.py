from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0003_workers_by_start")]

    operations = [
        migrations.AddField(
            model_name="worker",
            name="operating_points",
            field=models.JSONField(default=list, help_text="the names of the model's thresholds"),
        ),
    ]
