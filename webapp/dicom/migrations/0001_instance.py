import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("studies", "0027_open_studies"),
    ]

    operations = [
        migrations.CreateModel(
            name="Instance",
            fields=[
                (
                    "image",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="instance",
                        serialize=False,
                        to="studies.image",
                    ),
                ),
                ("study_uid", models.CharField(help_text="Study Instance UID", max_length=64)),
                ("series_uid", models.CharField(help_text="Series Instance UID", max_length=64)),
                ("instance_uid", models.CharField(help_text="SOP Instance UID", max_length=64)),
                ("class_uid", models.CharField(help_text="SOP Class UID", max_length=64)),
                (
                    "transfer_syntax",
                    models.CharField(help_text="Transfer Syntax UID of the file as it came", max_length=64),
                ),
                ("modality", models.CharField(blank=True, max_length=16)),
                ("body_part", models.CharField(blank=True, help_text="Body Part Examined", max_length=16)),
                ("view_position", models.CharField(blank=True, max_length=16)),
                ("study_date", models.DateField(blank=True, null=True)),
                ("study_time", models.TimeField(blank=True, null=True)),
                ("study_description", models.CharField(blank=True, max_length=64)),
                ("accession_number", models.CharField(blank=True, max_length=16)),
                ("series_number", models.IntegerField(blank=True, null=True)),
                ("instance_number", models.IntegerField(blank=True, null=True)),
                (
                    "calling_ae",
                    models.CharField(
                        blank=True, help_text="AE title that sent it; empty where it was uploaded", max_length=16
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["study_uid", "series_uid", "instance_uid"], name="dicom_instance_uids"),
                    models.Index(fields=["series_uid"], name="dicom_instance_series"),
                    models.Index(fields=["instance_uid"], name="dicom_instance_instance"),
                    models.Index(fields=["accession_number"], name="dicom_instance_accession"),
                ],
            },
        ),
    ]
