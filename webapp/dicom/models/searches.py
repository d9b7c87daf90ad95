"""Searches of a department's PACS, and retrievals from it."""

import uuid

from django.contrib.auth.models import User
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from webapp.departments.models import Department


class Progress(models.TextChoices):
    """The state of a request to a PACS. It only changes by compare-and-set."""

    WAITING = "waiting", _("Waiting")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class PacsRequest(models.Model):
    """A request to a PACS."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(Department, models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=Progress, default=Progress.WAITING)
    error = models.CharField(max_length=200, blank=True, help_text="of the last attempt")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)


class Search(PacsRequest):
    """A search for studies at a PACS, and what was found. It describes patients, so it is deleted after a day."""

    destination = models.ForeignKey("dicom.Destination", models.CASCADE, related_name="searches")
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    criteria = models.JSONField(help_text="what was searched for, by the names of webapp.dicom.services.searching")
    found = models.JSONField(default=list, help_text="the attributes of each study, as texts")
    more = models.BooleanField(default=False, help_text="whether the PACS has more than were taken")

    class Meta:
        verbose_name_plural = "searches"
        indexes = [
            models.Index(fields=["department", "-created_at"], name="dicom_search_list"),
            models.Index(fields=["created_at"], name="dicom_search_old"),
        ]

    def get_absolute_url(self) -> str:
        return reverse("pacs-search", args=[self.pk])


class Retrieval(PacsRequest):
    """A study that is fetched from a PACS."""

    search = models.ForeignKey(Search, models.CASCADE, related_name="retrievals")
    study_uid = models.CharField(max_length=64, help_text="Study Instance UID")
    expected = models.PositiveIntegerField(null=True, blank=True, help_text="images that the PACS has of it")
    arrived = models.PositiveIntegerField(default=0, help_text="of these, the ones that are here")
    refused = models.JSONField(default=list, help_text="SOP Instance UIDs of those that did not arrive")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["search", "study_uid"], name="dicom_one_retrieval_a_study")]
