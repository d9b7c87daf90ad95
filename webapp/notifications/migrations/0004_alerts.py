"""Managers are notified when a model agrees too little with their readers, or when the images have changed."""

import django.db.models.deletion
from django.db import migrations, models


def event():
    return models.CharField(
        choices=[
            ("study.finished", "A study is finished"),
            ("image.failed", "Something could not be read"),
            ("image.positive", "Signs of pneumonia were found"),
            ("department.alert", "A model agrees too little with readers, or the images have changed"),
        ],
        max_length=20,
    )


class Migration(migrations.Migration):
    dependencies = [("departments", "0007_least_sensitivity"), ("notifications", "0003_plain_words")]

    operations = [
        migrations.AlterField("choice", "event", event()),
        migrations.AlterField("news", "event", event()),
        migrations.AddField(
            "news",
            "department",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="departments.department",
            ),
        ),
    ]
