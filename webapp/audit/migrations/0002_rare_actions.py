"""What is rare among the many entries of a department or of a person is found by an index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_entries")]

    operations = [
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                fields=["department_id", "action", "-created_at", "-id"], name="audit_department_action"
            ),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["person", "action", "-created_at", "-id"], name="audit_person_action"),
        ),
    ]
