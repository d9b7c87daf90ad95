"""The entries of the audit, and the chain into which they are sealed.

They have no foreign keys: an entry outlives the person, the image and the department that it names.
"""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Action(models.TextChoices):
    """The recorded actions. The database column has no choices, so that a new action needs no migration."""

    SIGN_IN = "sign_in", _("Sign in")
    SIGN_IN_FAILED = "sign_in_failed", _("Sign in failed")
    SIGN_OUT = "sign_out", _("Sign out")
    REGISTER = "register", _("Register")
    INVITE = "invite", _("Invite")
    CREDENTIALS_CHANGE = "credentials_change", _("Credentials change")
    TOKEN_ISSUE = "token_issue", _("Token issue")
    TOKEN_REVOKE = "token_revoke", _("Token revoke")
    ROLE_CHANGE = "role_change", _("Role change")
    LIST = "list", _("List")
    VIEW = "view", pgettext_lazy("action", "View")
    DOWNLOAD = "download", _("Download")
    EXPORT = "export", _("Export")
    CREATE = "create", _("Create")
    CHANGE = "change", _("Change")
    DELETE = "delete", _("Delete")
    CANCEL = "cancel", _("Cancel")
    RETRY = "retry", _("Retry")
    REVIEW = "review", _("Review")
    SHARE = "share", _("Share")
    MERGE = "merge", _("Merge")
    PAUSE = "pause", _("Pause")
    RESUME = "resume", _("Resume")
    SETTINGS_CHANGE = "settings_change", _("Settings change")
    ACKNOWLEDGE = "acknowledge", _("Acknowledge")
    SEND_AGAIN = "send_again", _("Send again")
    TEST = "test", _("Test")
    BACKUP = "backup", _("Backup")


class Entry(models.Model):
    """One action of a user. It is written once, and updated only once, when it is sealed into the chain."""

    created_at = models.DateTimeField(default=timezone.now)
    action = models.CharField(max_length=20)
    person_id = models.BigIntegerField(null=True, blank=True, help_text="the user's id")
    person = models.CharField(max_length=150, blank=True, help_text="the user's name at that time")
    guest = models.CharField(max_length=36, blank=True, help_text="the guest's id")
    address = models.CharField(max_length=64, blank=True, help_text="the client's; empty for the service itself")
    token = models.CharField(max_length=100, blank=True, help_text="the name of the API token that was used")
    kind = models.CharField(max_length=64, blank=True, help_text="the object's model, such as studies.image")
    object_id = models.CharField(max_length=64, blank=True)
    department_id = models.CharField(max_length=36, blank=True, help_text="the department that owns the object")
    details = models.TextField(blank=True, help_text="codes and names of fields as JSON, never what is in them")
    request_id = models.CharField(max_length=64, blank=True, help_text="which the log knows as well")
    # Set when the entry is sealed into the chain; see webapp.audit.chain.
    position = models.BigIntegerField(null=True, blank=True, unique=True)
    hash = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name_plural = "entries"
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="audit_list"),
            models.Index(fields=["department_id", "-created_at", "-id"], name="audit_department"),
            models.Index(fields=["person", "-created_at", "-id"], name="audit_person"),
            models.Index(fields=["department_id", "person", "-created_at", "-id"], name="audit_department_person"),
            models.Index(fields=["action", "-created_at", "-id"], name="audit_action"),
            models.Index(fields=["object_id", "-created_at", "-id"], name="audit_object"),
            # For rare actions of a person or department with very many entries.
            models.Index(fields=["department_id", "action", "-created_at", "-id"], name="audit_department_action"),
            models.Index(fields=["person", "action", "-created_at", "-id"], name="audit_person_action"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.kind} {self.object_id}".rstrip()


class Chain(models.Model):
    """The two ends of the chain: a single row, which only one process at a time changes."""

    head = models.BigIntegerField(default=0, help_text="position of the last sealed entry")
    head_hash = models.CharField(max_length=64, blank=True)
    base = models.BigIntegerField(default=0, help_text="position of the last entry that was deleted for its age")
    base_hash = models.CharField(max_length=64, blank=True)
    sealed_at = models.DateTimeField(default=timezone.now)
    key_check = models.CharField(max_length=64, help_text="tells whether a key is the right one")
    mac = models.CharField(max_length=64, help_text="keyed hash of the other fields")

    def __str__(self) -> str:
        return f"{self.base} to {self.head}"
