"""What is counted of each month, and what calls for attention."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [("departments", "0007_least_sensitivity")]

    operations = [
        migrations.CreateModel(
            name="MonthlyCount",
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
                (
                    "department",
                    models.ForeignKey(
                        blank=True,
                        help_text="empty for persons and guests",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="departments.department",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["department", "month"], name="agreement_month")]},
        ),
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("bundle", models.CharField(max_length=100)),
                ("about", models.CharField(help_text="sensitivity, or the feature that has changed", max_length=20)),
                ("value", models.FloatField()),
                ("bound", models.FloatField(help_text="which the value has passed")),
                ("since", models.DateTimeField(auto_now_add=True)),
                (
                    "department",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="departments.department",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("department", "bundle", "about"), name="one_alert_of_a_kind")
                ]
            },
        ),
    ]
