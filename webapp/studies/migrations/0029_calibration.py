from django.db import migrations, models


class Migration(migrations.Migration):
    """A column that may be empty: no row changes."""

    dependencies = [
        ("studies", "0028_source_dicom"),
    ]

    operations = [
        migrations.AddField(
            model_name="reading",
            name="calibration",
            field=models.JSONField(
                blank=True,
                help_text="of its department, by which the result was made; empty for the model's own",
                null=True,
            ),
        ),
    ]
