from django.db import migrations, models

import webapp.studies.models.studies


class Migration(migrations.Migration):
    dependencies = [
        ("studies", "0013_reading_region"),
    ]

    operations = [
        migrations.AddField(
            model_name="archive",
            name="particulars",
            field=models.JSONField(
                blank=True,
                help_text="descriptions of its images, by their place in it, until it is unpacked",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="age_years",
            field=models.FloatField(blank=True, help_text="the patient's, as whoever sent it gave it", null=True),
        ),
        migrations.AddField(
            model_name="image",
            name="comment",
            field=models.CharField(blank=True, max_length=500, null=True),
        ),
        migrations.AddField(
            model_name="image",
            name="view",
            field=models.CharField(
                blank=True,
                choices=[
                    ("PA", "frontal, from behind (PA)"),
                    ("AP", "frontal, from the front (AP)"),
                    ("lateral", "lateral"),
                ],
                max_length=10,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="patient",
            name="birth_date",
            field=models.DateField(
                blank=True,
                null=True,
                validators=[webapp.studies.models.studies.check_birth_date],
                verbose_name="date of birth",
            ),
        ),
        migrations.AddField(
            model_name="patient",
            name="name",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        migrations.AddField(
            model_name="patient",
            name="sex",
            field=models.CharField(
                blank=True,
                choices=[("F", "female"), ("M", "male"), ("O", "other")],
                db_default="",
                default="",
                max_length=1,
            ),
        ),
        migrations.AddField(
            model_name="study",
            name="manifest",
            field=models.JSONField(
                blank=True,
                help_text="what became of the manifests that were sent for it; null where there is none",
                null=True,
            ),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["name"], name="studies_patient_name", opclasses=["varchar_pattern_ops"]),
        ),
    ]
