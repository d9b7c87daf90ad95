import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0002_administrators"),
        ("studies", "0008_departments"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                (
                    "digest",
                    models.CharField(
                        help_text="hash of the sender and their key", max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("fingerprint", models.CharField(help_text="hash of what was sent", max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True, db_index=True)),
            ],
        ),
        migrations.AddField(
            model_name="image",
            name="instance_uid",
            field=models.CharField(blank=True, help_text="DICOM's SOP Instance UID", max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="study",
            name="study_uid",
            field=models.CharField(blank=True, help_text="DICOM's Study Instance UID", max_length=64, null=True),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["sha256"], name="studies_ima_sha256_7efe17_idx"),
        ),
        migrations.AddConstraint(
            model_name="image",
            constraint=models.UniqueConstraint(fields=("instance_uid", "owner"), name="instance_uid_of_owner"),
        ),
        migrations.AddConstraint(
            model_name="image",
            constraint=models.UniqueConstraint(fields=("instance_uid", "guest"), name="instance_uid_of_guest"),
        ),
        migrations.AddConstraint(
            model_name="image",
            constraint=models.UniqueConstraint(
                fields=("instance_uid", "department"), name="instance_uid_of_department"
            ),
        ),
        migrations.AddConstraint(
            model_name="study",
            constraint=models.UniqueConstraint(fields=("study_uid", "owner"), name="study_uid_of_owner"),
        ),
        migrations.AddConstraint(
            model_name="study",
            constraint=models.UniqueConstraint(fields=("study_uid", "guest"), name="study_uid_of_guest"),
        ),
        migrations.AddConstraint(
            model_name="study",
            constraint=models.UniqueConstraint(fields=("study_uid", "department"), name="study_uid_of_department"),
        ),
        migrations.AddField(
            model_name="idempotencykey",
            name="image",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="studies.image"
            ),
        ),
        migrations.AddField(
            model_name="idempotencykey",
            name="study",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="studies.study"
            ),
        ),
    ]
