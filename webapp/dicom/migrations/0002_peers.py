import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import webapp.dicom.models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0007_least_sensitivity"),
        ("dicom", "0001_instance"),
    ]

    operations = [
        migrations.CreateModel(
            name="Peer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "ae_title",
                    models.CharField(
                        help_text="as the sender calls itself, in the same upper and lower case",
                        max_length=16,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[!-\\[\\]-~]([ -\\[\\]-~]*[!-\\[\\]-~])?$", "Only ASCII, without a backslash."
                            )
                        ],
                        verbose_name="AE title",
                    ),
                ),
                (
                    "network",
                    models.CharField(
                        blank=True,
                        help_text="the address or network that it sends from; blank for any",
                        max_length=43,
                        validators=[webapp.dicom.models.check_network],
                    ),
                ),
                (
                    "stat",
                    models.BooleanField(
                        default=False,
                        help_text="have all that it sends read before everything else",
                        verbose_name="STAT",
                    ),
                ),
                ("active", models.BooleanField(default=True, help_text="whether it may send")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "department",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="dicom_peers",
                        to="departments.department",
                    ),
                ),
            ],
            options={
                "ordering": ["ae_title"],
            },
        ),
    ]
