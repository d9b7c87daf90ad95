from django.db import migrations, models


class Migration(migrations.Migration):
    """Only what may stand in the columns: no row changes."""

    dependencies = [
        ("studies", "0027_open_studies"),
    ]

    operations = [
        migrations.AlterField(
            model_name=name,
            name="source",
            field=models.CharField(
                choices=[("upload", "uploaded"), ("dicom", "DICOM")],
                db_default="upload",
                default="upload",
                max_length=10,
            ),
        )
        for name in ("image", "study")
    ]
