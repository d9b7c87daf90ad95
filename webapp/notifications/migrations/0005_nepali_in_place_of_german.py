from typing import Any

from django.db import migrations, models


def write(kept: str, gone: str) -> Any:
    """People and departments with a language that is gone get English."""

    def change(apps: Any, schema_editor: Any) -> None:
        for name in ("Reader", "Mailbox"):
            rows = apps.get_model("notifications", name).objects.using(schema_editor.connection.alias)
            rows.filter(language=gone).update(language=kept)

    return change


CHOICES = [("en", "English"), ("ne", "नेपाली")]


class Migration(migrations.Migration):
    """E-mails are written in the languages of the pages."""

    dependencies = [
        ("notifications", "0004_alerts"),
    ]

    operations = [
        migrations.RunPython(write("en", "de"), write("en", "ne")),
        migrations.AlterField(
            model_name="reader",
            name="language",
            field=models.CharField(choices=CHOICES, default="en", max_length=2),
        ),
        migrations.AlterField(
            model_name="mailbox",
            name="language",
            field=models.CharField(choices=CHOICES, default="en", max_length=2),
        ),
    ]
