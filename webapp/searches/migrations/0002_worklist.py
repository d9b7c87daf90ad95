"""Views of the worklist can be saved."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("searches", "0001_initial")]

    operations = [
        migrations.AlterField(
            "savedsearch",
            "list",
            models.CharField(
                choices=[("images", "Images"), ("studies", "Studies"), ("worklist", "Worklist")], max_length=10
            ),
        ),
    ]
