"""What was counted of each month of all departments together. The next count fills it from the departments' months."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agreement", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="MonthlyTotal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("month", models.DateField(help_text="its first day, by the service's clock")),
                ("bundle", models.CharField(max_length=100)),
                (
                    "shadow",
                    models.BooleanField(default=False, help_text="of a second model, beside the one that counts"),
                ),
                ("figures", models.JSONField(default=dict, help_text="see webapp.agreement.counts")),
                ("counted_at", models.DateTimeField()),
            ],
            options={"abstract": False},
        ),
    ]
