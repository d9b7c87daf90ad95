"""Back to a release in which every verdict has a reader: each that has none gets an account nobody can sign in to.

It is a migration of its own, since PostgreSQL does not alter a table in the transaction that changes its rows.
"""

from django.conf import settings
from django.db import migrations


def name_former_readers(apps, schema_editor):
    using = schema_editor.connection.alias
    User = apps.get_model("auth", "User").objects.using(using)
    for review in apps.get_model("reviews", "Review").objects.using(using).filter(reviewer=None):
        review.reviewer = User.create(username=f"former-reader-{review.pk}", password="!", is_active=False)  # noqa: S106
        review.save(update_fields=["reviewer"])


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0003_former_readers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(migrations.RunPython.noop, name_former_readers)]
