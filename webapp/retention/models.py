"""Reports of the purge."""

from django.db import models


class PurgeReport(models.Model):
    """One run of the purge. A run that was killed has no ``finished_at``."""

    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    complete = models.BooleanField(default=False, help_text="false where the next run has something left to do")
    removed = models.JSONField(default=dict, help_text="what was deleted, by kind")
    missing = models.JSONField(default=list, help_text="images whose files are gone from the storage")
    errors = models.JSONField(default=list, help_text="steps that failed; the log has the whole error")
    positions = models.JSONField(default=dict, help_text="where the next run goes on")

    class Meta:
        indexes = [models.Index(fields=["-started_at"])]

    def __str__(self) -> str:
        counts = ", ".join(f"{name}: {number}" for name, number in sorted(self.removed.items()))
        return counts or "nothing"
