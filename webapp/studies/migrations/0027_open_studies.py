from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0026_measured_inputs")]

    operations = [
        migrations.AddField(
            model_name="study",
            name="open_until",
            field=models.DateTimeField(
                blank=True,
                db_index=True,
                help_text="more files come, at the latest until then; it does not finish before",
                null=True,
            ),
        ),
    ]
