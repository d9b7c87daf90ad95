from django.db import migrations, models


class Migration(migrations.Migration):
    """Other words for the same: of the columns nothing changes in the database."""

    dependencies = [
        ("notifications", "0002_choices_and_news"),
    ]

    operations = [
        migrations.AlterField(
            model_name="webhook",
            name="events",
            field=models.JSONField(default=list, help_text="which events it gets"),
        ),
        migrations.AlterField(
            model_name="news",
            name="key",
            field=models.CharField(help_text="the same event is written once under its key", max_length=120),
        ),
        migrations.RemoveConstraint(model_name="news", name="told_once"),
        migrations.AddConstraint(
            model_name="news",
            constraint=models.UniqueConstraint(fields=("person", "key"), name="news_once"),
        ),
    ]
