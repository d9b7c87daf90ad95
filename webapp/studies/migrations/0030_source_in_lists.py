"""How something came here is compared in the indexes of lists: it was looked up in each row."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0008_calibration"),
        ("studies", "0029_calibration"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # First, since MariaDB keeps the last index of a foreign key.
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["owner", "-created_at", "-id"], name="studies_study_owner_list"),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["department", "-created_at", "-id"], name="studies_study_depa_list"),
        ),
        migrations.RemoveIndex(
            model_name="image",
            name="studies_image_owne_facets",
        ),
        migrations.RemoveIndex(
            model_name="image",
            name="studies_image_depa_facets",
        ),
        migrations.RemoveIndex(
            model_name="image",
            name="studies_image_facets",
        ),
        migrations.RemoveIndex(
            model_name="image",
            name="studies_image_search",
        ),
        migrations.RemoveIndex(
            model_name="image",
            name="studies_image_owne_warned",
        ),
        migrations.RemoveIndex(
            model_name="image",
            name="studies_image_depa_warned",
        ),
        migrations.RemoveIndex(
            model_name="image",
            name="studies_image_warned",
        ),
        migrations.RemoveIndex(
            model_name="image",
            name="studies_image_pati_search",
        ),
        migrations.RemoveIndex(
            model_name="study",
            name="studies_stu_owner_i_12b358_idx",
        ),
        migrations.RemoveIndex(
            model_name="study",
            name="studies_stu_departm_14cdfc_idx",
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                fields=[
                    "filename",
                    "created_at",
                    "id",
                    "owner",
                    "department",
                    "status",
                    "group",
                    "label",
                    "priority",
                    "reviewed",
                    "source",
                ],
                name="studies_image_search",
                opclasses=[
                    "varchar_pattern_ops",
                    "timestamptz_ops",
                    "uuid_ops",
                    "int4_ops",
                    "uuid_ops",
                    "text_ops",
                    "text_ops",
                    "text_ops",
                    "text_ops",
                    "bool_ops",
                    "text_ops",
                ],
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                fields=[
                    "patient",
                    "created_at",
                    "id",
                    "owner",
                    "department",
                    "status",
                    "group",
                    "label",
                    "priority",
                    "reviewed",
                    "source",
                ],
                name="studies_image_pati_search",
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(("owner__isnull", False)),
                fields=["owner", "status", "group", "label", "priority", "reviewed", "source", "-created_at", "-id"],
                name="studies_image_owne_facets",
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(("owner__isnull", False), ("warning_codes__gt", "")),
                fields=[
                    "owner",
                    "-created_at",
                    "-id",
                    "warning_codes",
                    "status",
                    "group",
                    "label",
                    "priority",
                    "reviewed",
                    "source",
                    "department",
                ],
                name="studies_image_owne_warned",
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(("department__isnull", False)),
                fields=[
                    "department",
                    "status",
                    "group",
                    "label",
                    "priority",
                    "reviewed",
                    "source",
                    "-created_at",
                    "-id",
                ],
                name="studies_image_depa_facets",
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(("department__isnull", False), ("warning_codes__gt", "")),
                fields=[
                    "department",
                    "-created_at",
                    "-id",
                    "warning_codes",
                    "status",
                    "group",
                    "label",
                    "priority",
                    "reviewed",
                    "source",
                    "owner",
                ],
                name="studies_image_depa_warned",
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                fields=["status", "group", "label", "priority", "reviewed", "source", "-created_at", "-id"],
                name="studies_image_facets",
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(("warning_codes__gt", "")),
                fields=[
                    "-created_at",
                    "-id",
                    "warning_codes",
                    "status",
                    "group",
                    "label",
                    "priority",
                    "reviewed",
                    "source",
                ],
                name="studies_image_warned",
            ),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["owner", "source", "-created_at", "-id"], name="studies_study_owner_source"),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["department", "source", "-created_at", "-id"], name="studies_study_depa_source"),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["source", "-created_at", "-id"], name="studies_study_source"),
        ),
    ]
