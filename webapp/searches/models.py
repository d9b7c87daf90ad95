"""Saved views, which are named filters of a list."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from webapp.departments.models import Department


class List(models.TextChoices):
    """The lists that can be filtered. The values are the names of their pages' routes."""

    IMAGES = "images", _("Images")
    STUDIES = "studies", _("Studies")
    WORKLIST = "worklist", _("Worklist")


class SavedSearch(models.Model):
    """Named filters of a list, for one user or for all members of a department."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    department = models.ForeignKey(Department, models.CASCADE, null=True, blank=True, related_name="+")
    list = models.CharField(max_length=10, choices=List)
    name = models.CharField(max_length=100)
    query = models.CharField(max_length=1000, help_text="the filters, as in the page's address")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "saved searches"
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, department__isnull=True)
                | Q(user__isnull=True, department__isnull=False),
                name="saved_search_has_one_owner",
            ),
            models.UniqueConstraint(fields=["user", "list", "name"], name="saved_search_of_user"),
            models.UniqueConstraint(fields=["department", "list", "name"], name="saved_search_of_department"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"{reverse(self.list)}?{self.query}"
