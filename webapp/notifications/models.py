"""Webhooks, news, and choices of who is notified of which event, and how."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from webapp.departments.models import Department
from webapp.notifications import addresses
from webapp.studies.models import Archive, Image, Study


class Event(models.TextChoices):
    """The events of which people can be notified. Webhooks receive the values as names; see WEBHOOK_EVENTS."""

    STUDY_FINISHED = "study.finished", _("A study is finished")
    FAILED = "image.failed", _("Something could not be read")
    POSITIVE = "image.positive", _("Signs of pneumonia were found")
    ALERT = "department.alert", _("A model agrees too little with readers, or the images have changed")


#: Webhooks also get the results that have changed after the image was read.
CORRECTED = "image.corrected"
#: The names of the events that webhooks get.
WEBHOOK_EVENTS = dict([*Event.choices, (CORRECTED, _("A result was corrected"))])


class Channel(models.TextChoices):
    """How a person or a department is notified. A webhook has its own list of events."""

    PAGE = "page", _("News")
    EMAIL = "email", _("E-mail")


class Language(models.TextChoices):
    """The languages of pages and e-mails."""

    ENGLISH = "en", "English"
    NEPALI = "ne", "नेपाली"


class Payload(models.TextChoices):
    """The content that a webhook gets for a finished study."""

    IDS = "ids", _("Numbers and addresses, without findings")
    FHIR_R5 = "fhir-5.0", _("Also the findings and the patient's identifier, as FHIR R5")
    FHIR_R4 = "fhir-4.0", _("Also the findings and the patient's identifier, as FHIR R4")


class Webhook(models.Model):
    """A URL that receives events of its user's uploads, or of all rows of its department."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="webhooks")
    department = models.ForeignKey(Department, models.CASCADE, null=True, blank=True, related_name="webhooks")
    url = models.CharField(max_length=addresses.LONGEST)
    events = models.JSONField(default=list, help_text="which events it gets")
    payload = models.CharField(max_length=10, choices=Payload, default=Payload.IDS, db_default=Payload.IDS)
    sealed_secret = models.CharField(max_length=255, editable=False)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_outcome = models.CharField(max_length=200, blank=True, editable=False)

    def __str__(self) -> str:
        return self.url


class Choice(models.Model):
    """Whether a person or a department wants to be notified of an event through a channel."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    department = models.ForeignKey(Department, models.CASCADE, null=True, blank=True, related_name="+")
    event = models.CharField(max_length=20, choices=Event)
    channel = models.CharField(max_length=10, choices=Channel)
    wanted = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=[owner, "event", "channel"], name=f"one_choice_of_{owner}")
            for owner in ("person", "department")
        ]

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}: {self.wanted}"


class Reader(models.Model):
    """The language of a person's pages and e-mails."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    language = models.CharField(max_length=2, choices=Language, default=Language.ENGLISH)

    def __str__(self) -> str:
        return f"{self.person}: {self.language}"


class Mailbox(models.Model):
    """A department's e-mail address."""

    department = models.OneToOneField(Department, models.CASCADE, primary_key=True, related_name="+")
    address = models.EmailField()
    language = models.CharField(max_length=2, choices=Language, default=Language.ENGLISH)

    class Meta:
        verbose_name_plural = "mailboxes"

    def __str__(self) -> str:
        return self.address


class News(models.Model):
    """A notification that a person sees on the news page."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="news", db_index=False)
    key = models.CharField(max_length=120, help_text="the same event is written once under its key")
    event = models.CharField(max_length=20, choices=Event)
    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="+")
    image = models.ForeignKey(Image, models.CASCADE, null=True, blank=True, related_name="+")
    department = models.ForeignKey(Department, models.CASCADE, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "news"
        constraints = [models.UniqueConstraint(fields=["person", "key"], name="news_once")]
        indexes = [
            models.Index(fields=["person", "-created_at", "-id"], name="news_list"),
            models.Index(fields=["person", "read_at"], name="news_unread"),
            models.Index(fields=["created_at"], name="news_old"),
        ]

    def __str__(self) -> str:
        return f"{self.event} for {self.person}"


class Acknowledgement(models.Model):
    """Records that a user has seen a failure, which removes it from the list of failures."""

    image = models.OneToOneField(Image, models.CASCADE, null=True, blank=True, related_name="acknowledgement")
    archive = models.OneToOneField(Archive, models.CASCADE, null=True, blank=True, related_name="acknowledgement")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.image_id or self.archive_id}"
