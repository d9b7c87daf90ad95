"""Owners' lists of images are read in the order of one index, and cancelled studies are found by one."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0004_settings_and_service_accounts"),
        ("studies", "0017_names_in_nfc"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    # The new ones first, also on the way back: MariaDB drops no index that a foreign key would be left without.
    operations = [
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["owner", "-created_at", "-id"], name="studies_image_owner_list"),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["department", "-created_at", "-id"], name="studies_image_depa_list"),
        ),
        migrations.RemoveIndex(model_name="image", name="studies_ima_owner_i_b36399_idx"),
        migrations.RemoveIndex(model_name="image", name="studies_ima_departm_b2f0ff_idx"),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(
                fields=["-created_at", "-id"],
                condition=models.Q(("cancelled_at__isnull", False)),
                name="studies_study_cancelled",
            ),
        ),
    ]
