"""Send one event as an e-mail. It contains only links: no patient data is sent by mail."""

import smtplib
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from webapp.departments.models import Department
from webapp.notifications.models import Event, Language, Mailbox, Reader
from webapp.notifications.subjects import Subject, may_know, subject_of
from webapp.studies import progress
from webapp.studies.models import Image, Study
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError

TEMPLATES = {
    Event.STUDY_FINISHED: "study_finished",
    Event.FAILED: "failed",
    Event.POSITIVE: "positive",
    Event.ALERT: "alert",
}


@dataclass(frozen=True)
class Receiver:
    address: str
    language: str
    choices_url: str


def send(delivery: Delivery) -> str:
    """Send a delivery by e-mail.

    Returns:
        The outcome in words.

    Raises:
        NotDeliveredError: the mail could not be sent.
        ObsoleteError: the subject was deleted, or the receiver has no address or may no longer see it.
    """
    row = subject_of(delivery.payload)
    receiver = _receiver(delivery.payload, row)
    subject, text = _render(delivery.payload["event"], row, receiver)
    message = EmailMultiAlternatives(
        subject,
        text,
        to=[receiver.address],
        # If a message is sent twice, mail programs show it once, because its id is the same.
        headers={"Message-ID": f"<{delivery.pk}@pneumoqueue>", "Auto-Submitted": "auto-generated"},
    )
    html = {"subject": subject, "text": text, "language": receiver.language}
    message.attach_alternative(render_to_string("notifications/mail/page.html", html), "text/html")
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        code = max((code for code, _ in error.recipients.values()), default=0)
        raise NotDeliveredError(f"the mail server refuses the address ({code})", permanent=code >= 500) from None
    except smtplib.SMTPResponseException as error:
        raise NotDeliveredError(f"the mail server answered {error.smtp_code}", unreachable=True) from None
    except OSError as error:
        reason = f"the mail server cannot be reached ({type(error).__name__})"
        raise NotDeliveredError(reason, unreachable=True) from None
    return "taken by the mail server"


def _receiver(payload: dict[str, Any], row: Subject) -> Receiver:
    """The current receiver of a delivery: a department's mailbox or a person."""
    if "department" in payload:
        mailbox = Mailbox.objects.select_related("department").filter(department=payload["department"]).first()
        owner = row.pk if isinstance(row, Department) else row.department_id
        if mailbox is None or owner != mailbox.department_id:
            raise ObsoleteError("the department has no address any more")
        url = f"{settings.PUBLIC_URL}/departments/{mailbox.department.slug}/notifications/"
        return Receiver(mailbox.address, mailbox.language, url)
    person = User.objects.filter(pk=payload["person"]).exclude(email="").first()
    if person is None or not may_know(person, row):
        raise ObsoleteError("the person has no address, or may not see it any more")
    reader = Reader.objects.filter(person=person).first()
    return Receiver(
        person.email, reader.language if reader else Language.ENGLISH, f"{settings.PUBLIC_URL}/notifications/"
    )


def _render(event: str, row: Subject, receiver: Receiver) -> tuple[str, str]:
    """Render a mail. Return its subject, which is the template's first line, and its text."""
    # Without reverse(), because workers load no views.
    if isinstance(row, Department):
        path = f"agreement/?department={row.slug}"
    else:
        path = f"{'studies' if isinstance(row, Study) else 'images'}/{row.pk}/"
    context = {
        "url": f"{settings.PUBLIC_URL}/{path}",
        "choices_url": receiver.choices_url,
        "failures_url": f"{settings.PUBLIC_URL}/failures/",
        "is_reliable": not isinstance(row, Image) or row.result is None or row.result.is_reliable,
        "progress": progress.current_progress(row) if isinstance(row, Study) else None,
    }
    template = f"notifications/mail/{receiver.language}/{TEMPLATES[Event(event)]}.txt"
    subject, _, text = render_to_string(template, context).partition("\n")
    return subject.strip(), text.strip() + "\n"
