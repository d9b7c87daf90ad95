"""What one person has done in a department is found by an index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_rare_actions")]

    operations = [
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                fields=["department_id", "person", "-created_at", "-id"], name="audit_department_person"
            ),
        ),
    ]
