from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0002_administrators"),
    ]

    operations = [
        migrations.AddField(
            model_name="department",
            name="label_outside_training",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="give a label to images of an age or view that the model did not learn from; it is never reliable",
            ),
        ),
    ]
