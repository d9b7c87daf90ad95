from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("studies", "0033_labels"),
    ]

    operations = [
        migrations.AddField(
            model_name="archive",
            name="size",
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text="bytes of these files, unpacked"),
        ),
        migrations.AddField(
            model_name="archive",
            name="missed",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="reconciliations since that"),
        ),
        migrations.AddField(
            model_name="image",
            name="preview_sha256",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="empty if the upload is its own preview",
                max_length=64,
            ),
        ),
        migrations.AlterField(
            model_name="archive",
            name="attempts",
            field=models.PositiveSmallIntegerField(default=0, help_text="runs that died since the last finished chunk"),
        ),
    ]
