import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("departments", "0003_label_outside_training")]

    operations = [
        migrations.AlterField(
            model_name="department",
            name="retention_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="days after which its images are deleted; blank to keep them",
                null=True,
                validators=[django.core.validators.MaxValueValidator(36500)],
            ),
        ),
        migrations.AddField(
            model_name="department",
            name="daily_images",
            field=models.PositiveIntegerField(
                blank=True, help_text="images that may be sent to it in a day; blank for no limit", null=True
            ),
        ),
        migrations.AddField(
            model_name="department",
            name="daily_bytes",
            field=models.PositiveBigIntegerField(
                blank=True,
                help_text="bytes that may be sent to it in a day, ZIPs unpacked; blank for no limit",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="department",
            name="night_start",
            field=models.TimeField(
                blank=True, help_text="from when its bulk images are read, in the service's time zone", null=True
            ),
        ),
        migrations.AddField(
            model_name="department",
            name="night_end",
            field=models.TimeField(blank=True, help_text="until when; blank to read them at any time", null=True),
        ),
        migrations.AddField(
            model_name="department",
            name="share",
            field=models.PositiveSmallIntegerField(
                db_default=1,
                default=1,
                help_text="its part of each batch of bulk images, by comparison with other departments and persons, who have 1",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(100),
                ],
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="service",
            field=models.BooleanField(
                db_default=False, default=False, help_text="a service account, which only ever uses API tokens"
            ),
        ),
        migrations.AddConstraint(
            model_name="department",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("night_end__isnull", True), ("night_start__isnull", True)),
                    models.Q(("night_end__isnull", False), ("night_start__isnull", False)),
                    _connector="OR",
                ),
                name="night_has_start_and_end",
                violation_error_message="Give both the start and the end of the night, or neither.",
            ),
        ),
        migrations.AddConstraint(
            model_name="department",
            constraint=models.CheckConstraint(condition=models.Q(("share__gte", 1)), name="share_of_at_least_one"),
        ),
    ]
