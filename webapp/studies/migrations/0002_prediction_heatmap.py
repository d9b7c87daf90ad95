from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("studies", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="prediction",
            name="heatmap",
            field=models.BinaryField(
                default=b"",
                help_text="what the reading rests on: a square of bytes, row by row, the strongest place 255",
            ),
        ),
    ]
