from django.db import migrations, models
from django.db.models import F


def date_finished(apps, schema_editor):
    """Earlier releases did not note when a ZIP was finished; the reconciler deletes those that are left."""
    archives = apps.get_model("studies", "Archive").objects.filter(state__in=("unpacked", "failed"))
    archives.update(finished_at=F("created_at"))


def queue_again(apps, schema_editor):
    """Earlier releases know no ZIP that is being unpacked. They go on where this one stopped."""
    apps.get_model("studies", "Archive").objects.filter(state="unpacking").update(state="queued")


class Migration(migrations.Migration):
    dependencies = [("studies", "0009_identity_of_uploads")]

    operations = [
        migrations.AddField(
            model_name="archive",
            name="claim",
            field=models.UUIDField(blank=True, help_text="the run that is unpacking it", null=True),
        ),
        migrations.AddField(
            model_name="archive",
            name="claimed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="archive",
            name="claimed_by",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="that run's worker", max_length=255
            ),
        ),
        migrations.AddField(
            model_name="archive",
            name="dispatches",
            field=models.PositiveSmallIntegerField(
                db_default=1, default=1, help_text="messages sent for the next chunk"
            ),
        ),
        migrations.AddField(
            model_name="archive",
            name="finished_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="archive",
            name="unpacked",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="files of it that have become images"),
        ),
        migrations.AlterField(
            model_name="archive",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="runs since the last finished chunk that ended without a word"
            ),
        ),
        migrations.AlterField(
            model_name="archive",
            name="dispatched_at",
            field=models.DateTimeField(help_text="when its latest message was sent"),
        ),
        migrations.AlterField(
            model_name="archive",
            name="file",
            field=models.FileField(
                blank=True, help_text="empty once it has been unpacked and deleted", max_length=255, upload_to=""
            ),
        ),
        migrations.AlterField(
            model_name="archive",
            name="state",
            field=models.CharField(
                choices=[
                    ("queued", "Queued"),
                    ("unpacking", "Unpacking"),
                    ("unpacked", "Unpacked"),
                    ("failed", "Failed"),
                ],
                default="queued",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="image",
            name="file",
            field=models.FileField(
                blank=True, help_text="empty where it was refused, or cancelled before", max_length=255, upload_to=""
            ),
        ),
        migrations.AddIndex(
            model_name="archive",
            index=models.Index(fields=["state", "dispatched_at"], name="studies_arc_state_675dc6_idx"),
        ),
        migrations.AddIndex(
            model_name="archive",
            index=models.Index(fields=["state", "file"], name="studies_arc_state_704f7e_idx"),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(("dispatches", 0)), fields=["dispatched_at"], name="image_never_sent"
            ),
        ),
        migrations.RunPython(date_finished, queue_again),
    ]
