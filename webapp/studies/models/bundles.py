"""The bundles that have read images here, with the figures measured for each."""

from django.db import models


class Bundle(models.Model):
    """A model bundle, as reported by a worker that reads with it."""

    name = models.CharField(primary_key=True, max_length=100, help_text="its name and version, as readings have it")
    answers = models.JSONField(default=dict, help_text="how often each answer was given; see ml.bundles.answers")
    inputs = models.JSONField(default=dict, help_text="what it learnt from looks like; see ml.evaluation.inputs")

    def __str__(self) -> str:
        return self.name
