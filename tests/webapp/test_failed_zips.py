"""A ZIP that could not be unpacked is named wherever its study is said to be finished."""

import pytest
from django.core import mail as outgoing
from django.urls import reverse

from webapp.accounts.identity import Identity
from webapp.notifications import sending, services
from webapp.notifications.models import Channel, Event, Webhook
from webapp.studies.choices import Status
from webapp.studies.models import Archive
from webapp.studies.services import completion
from worker.deliver import delivering

pytestmark = pytest.mark.django_db


@pytest.fixture
def make(make_study, user):
    """Create a finished study with a ZIP that could not be unpacked."""

    def make_one(*statuses):
        study = make_study(*statuses, owner=user)
        Archive.objects.create(
            study=study, filename="jane_doe.zip", total=9, state="failed", dispatched_at=study.created_at,
            error_code="archive_corrupt", error_detail="The ZIP is cut off.",
        )  # fmt: skip
        return study

    return make_one


def test_a_webhook_gets_the_number_of_failed_zips(make, user):
    study = make()
    payload = {"event": "study.finished", "event_id": "x", "created_at": "y", "study": str(study.pk)}
    body = sending._body(payload, Webhook(user=user))
    assert (body["study"]["total"], body["study"]["failed_archives"]) == (0, 1)
    assert "jane_doe" not in str(body)


@pytest.mark.parametrize(
    ("language", "statuses", "sentence"),
    [
        ("en", [], "A study has ended without an image. 1 of its ZIPs could not be unpacked, so images are missing."),
        ("en", [Status.SUCCEEDED], "All 1 images of a study have come to their end. 1 of its ZIPs could not be"),
        ("ne", [], "एउटा अध्ययन तस्बिरबिनै सकियो। यसका 1 वटा ZIP खोल्न सकिएन"),
        ("ne", [Status.SUCCEEDED], "अध्ययनका सबै 1 तस्बिरको काम सकियो। यसका 1 वटा ZIP खोल्न सकिएन"),
    ],
)
def test_the_e_mail_about_a_finished_study_names_failed_zips(make, user, settings, language, statuses, sentence):
    settings.EMAIL_URL, settings.PUBLIC_URL = "smtp://mail", "https://xray.example"
    user.email = "ada@hospital.example"
    user.save()
    services.choose(Identity(user=user), [(Event.STUDY_FINISHED, Channel.EMAIL)], language)
    completion.study_progressed([make(*statuses).pk])
    delivering.deliver_due("test"), delivering.deliver_due("test")
    [message] = outgoing.outbox
    assert sentence in message.body
    assert "jane_doe" not in message.message().as_string()


@pytest.mark.parametrize(("language", "words"), [("en", "ZIP not unpacked"), ("ne", "ZIP खोल्न सकिएन")])
def test_the_list_of_studies_shows_failed_zips(make, user, new_client, language, words):
    make()
    browser = new_client()
    browser.force_login(user)
    page = browser.get(reverse("studies"), headers={"Accept-Language": language}).content.decode()
    assert f'<span class="tag failed"><strong>1</strong> {words}</span>' in page
