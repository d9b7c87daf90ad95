import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0002_administrators"),
        ("studies", "0007_one_owner"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="archive",
            name="uploaded_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="department",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="departments.department",
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="uploaded_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="patient",
            name="department",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="departments.department",
            ),
        ),
        migrations.AddField(
            model_name="study",
            name="department",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="departments.department",
            ),
        ),
        migrations.AddField(
            model_name="study",
            name="uploaded_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["department", "-created_at"], name="studies_ima_departm_b2f0ff_idx"),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["uploaded_by", "-created_at"], name="studies_ima_uploade_fd1ce6_idx"),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["department", "-created_at"], name="studies_stu_departm_14cdfc_idx"),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["uploaded_by", "-created_at"], name="studies_stu_uploade_0f8c64_idx"),
        ),
        migrations.AddConstraint(
            model_name="image",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("department__isnull", True), ("guest__isnull", True), ("owner__isnull", False)),
                    models.Q(("department__isnull", True), ("guest__isnull", False), ("owner__isnull", True)),
                    models.Q(("department__isnull", False), ("guest__isnull", True), ("owner__isnull", True)),
                    _connector="OR",
                ),
                name="image_has_one_owner",
            ),
        ),
        migrations.AddConstraint(
            model_name="patient",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("department__isnull", True), ("guest__isnull", True), ("owner__isnull", False)),
                    models.Q(("department__isnull", True), ("guest__isnull", False), ("owner__isnull", True)),
                    models.Q(("department__isnull", False), ("guest__isnull", True), ("owner__isnull", True)),
                    _connector="OR",
                ),
                name="patient_has_one_owner",
            ),
        ),
        migrations.AddConstraint(
            model_name="patient",
            constraint=models.UniqueConstraint(fields=("department", "identifier"), name="patient_of_department"),
        ),
        migrations.AddConstraint(
            model_name="study",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("department__isnull", True), ("guest__isnull", True), ("owner__isnull", False)),
                    models.Q(("department__isnull", True), ("guest__isnull", False), ("owner__isnull", True)),
                    models.Q(("department__isnull", False), ("guest__isnull", True), ("owner__isnull", True)),
                    _connector="OR",
                ),
                name="study_has_one_owner",
            ),
        ),
    ]
