"""The list of what others have shared with someone is read along an index."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sharing", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="share",
            index=models.Index(fields=["user", "-created_at", "-id"], name="share_list"),
        ),
    ]
