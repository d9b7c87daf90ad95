from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0004_delivery_subject"),
    ]

    operations = [
        migrations.CreateModel(
            name="Silence",
            fields=[
                ("destination", models.CharField(max_length=64, primary_key=True, serialize=False)),
                (
                    "failures",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="attempts without an answer, one after the other"
                    ),
                ),
                ("until", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
