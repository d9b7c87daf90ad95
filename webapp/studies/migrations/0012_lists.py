from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0002_administrators"),
        ("studies", "0011_readings"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["status", "-created_at", "-id"], name="studies_image_status_list"),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["study", "created_at", "id"], name="studies_image_study_list"),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["-created_at", "-id"], name="studies_image_list"),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["filename"], name="studies_image_search", opclasses=["varchar_pattern_ops"]),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(("guest__isnull", False)), fields=["created_at"], name="studies_image_guests"
            ),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["owner", "-created_at"], name="studies_pat_owner_i_52533a_idx"),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["guest", "-created_at"], name="studies_pat_guest_eb8e5c_idx"),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["department", "-created_at"], name="studies_pat_departm_ae70d0_idx"),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["-created_at", "-id"], name="studies_patient_list"),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["identifier"], name="studies_patient_search", opclasses=["varchar_pattern_ops"]),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(
                condition=models.Q(("guest__isnull", False)), fields=["created_at"], name="studies_patient_guests"
            ),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["-created_at", "-id"], name="studies_study_list"),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["name"], name="studies_study_search", opclasses=["varchar_pattern_ops"]),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(
                condition=models.Q(("guest__isnull", False)), fields=["created_at"], name="studies_study_guests"
            ),
        ),
    ]
