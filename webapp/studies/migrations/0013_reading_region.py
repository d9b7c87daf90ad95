from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("studies", "0012_lists"),
    ]

    operations = [
        migrations.AddField(
            model_name="reading",
            name="region",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="the input's place in the picture, in pixels: left, top, right, bottom; empty where it is all of it",
            ),
        ),
    ]
