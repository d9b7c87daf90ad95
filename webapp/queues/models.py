"""The history of the queues."""

from django.db import models

from webapp.studies.choices import Priority


class Sample(models.Model):
    """The state of a queue at one time. Beat takes a sample of each queue every minute; the purge deletes old ones."""

    at = models.DateTimeField(db_index=True)
    priority = models.CharField(max_length=12, choices=Priority)
    queued = models.PositiveIntegerField(help_text="images that waited to be prepared")
    ready = models.PositiveIntegerField(help_text="images that waited to be read, those in a batch among them")
    oldest_seconds = models.FloatField(default=0, help_text="age of the oldest of them")
    received = models.PositiveIntegerField(help_text="images that came in the minute before")
    finished = models.PositiveIntegerField(help_text="images that came to an end in the minute before")
    failed = models.PositiveIntegerField(help_text="those of them that failed")
    stored_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="of all uploads; counted once an hour, with the first queue"
    )

    def __str__(self) -> str:
        return f"{self.priority} at {self.at:%Y-%m-%d %H:%M}"
