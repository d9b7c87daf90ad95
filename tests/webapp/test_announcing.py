"""Who is notified of what by news, e-mails and webhooks, as each person and each department has chosen."""

import smtplib

import pytest
from django.contrib.auth.models import User
from django.core import mail as outgoing
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from tests.webapp.clients import PASSWORD
from webapp.accounts.identity import Identity
from webapp.notifications import announcing, sending, services
from webapp.notifications import mail as mails
from webapp.notifications.models import Channel, Event, Mailbox, News
from webapp.reviews import services as reviews
from webapp.studies.choices import Status, WarningCode
from webapp.studies.models import Reading
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from webapp.studies.services import failures
from worker.deliver import delivering

pytestmark = pytest.mark.django_db

NAMES = ("Doe^Jane", "ward 3 Jane Doe", "jane_doe.jpg", "PAT-4711")


@pytest.fixture(autouse=True)
def mail_server(settings):
    settings.EMAIL_URL = "smtp://mail"
    settings.PUBLIC_URL = "https://xray.example"


@pytest.fixture
def user(user):
    user.email = "ada@hospital.example"
    user.save()
    return user


@pytest.fixture
def carol(db):
    return User.objects.create_user("carol", "carol@hospital.example", PASSWORD)


def choose(user, *choices, language="en"):
    services.choose(Identity(user=user), choices, language)


def deliver():
    return delivering.deliver_due("test")


def news(user):
    return list(News.objects.filter(person=user).order_by("pk").values_list("event", flat=True))


# --- news -----------------------------------------------------------------------------------------------------------


def test_the_owner_is_notified_of_a_finished_study_once(make_study, user, read):
    study = make_study(Status.READY, owner=user)
    read(*study.images.all(), pneumonia=0.1)
    event = Delivery.objects.get()
    for _ in range(2):
        announcing.announce_study(event)
    assert news(user) == [Event.STUDY_FINISHED]
    assert News.objects.get().study == study


def test_the_owner_is_notified_of_a_single_failed_image(make_image, user, guest):
    image = make_image(Status.QUEUED, owner=user)
    failures.fail(image.pk, "image_corrupt", "It is damaged.")
    failures.fail(make_image(Status.QUEUED, guest=guest.guest).pk, "image_corrupt", "It is damaged.")
    assert deliver() == {"delivered": 1}, "guests are not notified"
    assert (news(user), News.objects.get().image) == ([Event.FAILED], image)


def test_failures_of_a_study_are_announced_when_it_finishes(make_study, user):
    study = make_study(Status.QUEUED, Status.FAILED, Status.SUCCEEDED, owner=user)
    failures.fail(study.images.get(status=Status.QUEUED).pk, "image_corrupt", "It is damaged.")
    deliver()
    assert news(user) == [Event.STUDY_FINISHED, Event.FAILED]


def test_only_one_positive_image_of_a_study_is_announced(make_study, user, read):
    study = make_study(Status.READY, Status.READY, Status.READY, owner=user)
    first, second, third = study.images.order_by("created_at")
    read(first, pneumonia=0.1)
    deliver()
    assert news(user) == []
    read(second, third, pneumonia=0.9)
    deliver()
    assert sorted(news(user)) == [Event.POSITIVE, Event.STUDY_FINISHED]
    assert News.objects.get(event=Event.POSITIVE).image in (second, third)


def test_a_positive_image_is_announced_to_its_uploader_and_to_readers_who_chose_so(
    make_image, make_department, user, carol, read
):
    asleep, clerk = User.objects.create_user("asleep"), User.objects.create_user("clerk")
    department = make_department(reader=carol, uploader=user)
    department.memberships.create(user=asleep, role="reader")
    department.memberships.create(user=clerk, role="uploader")
    elsewhere = User.objects.create_user("elsewhere")
    for person in (carol, clerk, elsewhere):
        choose(person, (Event.POSITIVE, Channel.PAGE))
    read(make_image(Status.READY, department=department, uploaded_by=user), pneumonia=0.9)
    deliver()
    assert {person.username: news(person) for person in (user, carol, asleep, clerk, elsewhere)} == {
        "ada": [Event.POSITIVE], "carol": [Event.POSITIVE], "asleep": [], "clerk": [], "elsewhere": [],
    }  # fmt: skip


def test_former_members_are_no_longer_notified(make_study, make_department, user, read):
    department = make_department(uploader=user)
    study = make_study(Status.READY, department=department, uploaded_by=user)
    department.memberships.all().delete()
    read(*study.images.all())
    deliver()
    assert news(user) == []


def test_events_that_nobody_chose_are_not_announced(make_study, user, read):
    choose(user)
    read(*make_study(Status.READY, owner=user).images.all())
    assert deliver() == {"delivered": 2}
    assert news(user) == []
    assert outgoing.outbox == []


# --- e-mails --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "event", "subject", "words"),
    [
        ("en", Event.STUDY_FINISHED, "A study is finished", "1 of them could not be read"),
        ("ne", Event.STUDY_FINISHED, "एउटा अध्ययन सकियो", "1 वटा पढ्न सकिएन"),
        ("en", Event.FAILED, "Images could not be read", "Files of a study could not be read"),
        ("ne", Event.FAILED, "केही तस्बिर पढ्न सकिएन", "अध्ययनका केही फाइल पढ्न सकिएन"),
        ("en", Event.POSITIVE, "Signs of pneumonia were found", "This is not a diagnosis"),
        ("ne", Event.POSITIVE, "निमोनियाका संकेत देखिए", "यो रोगको निदान होइन"),
    ],
)
def test_an_e_mail_has_links_in_its_readers_language_and_no_patient_details(
    make_study, user, read, language, event, subject, words
):
    choose(user, (event, Channel.EMAIL), language=language)
    study = make_study(Status.READY, Status.FAILED, owner=user, name=NAMES[1])
    study.images.update(filename=NAMES[2])
    image = study.images.get(status=Status.READY)
    read(image, pneumonia=0.9)
    deliver(), deliver()
    [message] = outgoing.outbox
    assert (message.subject, message.to) == (subject, ["ada@hospital.example"])
    page = f"images/{image.pk}" if event == Event.POSITIVE else f"studies/{study.pk}"
    assert f"https://xray.example/{page}/" in message.body
    assert "https://xray.example/notifications/" in message.body
    assert words in message.body
    [(html, kind)] = message.alternatives
    assert (kind, f'href="https://xray.example/{page}/"' in html, f'lang="{language}"' in html) == (
        "text/html",
        True,
        True,
    )
    everything = message.message().as_string() + message.body + html
    assert not any(name in everything for name in NAMES)


def test_a_department_is_notified_at_its_own_address(make_image, make_department, user, carol, read, settings):
    department = make_department(manager=carol)
    services.choose(
        Identity(user=carol), [(Event.POSITIVE, Channel.EMAIL)], "ne", department=department,
        address="chest@hospital.example",
    )  # fmt: skip
    read(make_image(Status.READY, department=department), pneumonia=0.9)
    read(make_image(Status.READY, department=make_department("other")), pneumonia=0.9)
    deliver(), deliver()
    [message] = outgoing.outbox
    assert message.to == ["chest@hospital.example"]
    assert "https://xray.example/departments/radiology/notifications/" in message.body


@pytest.mark.parametrize(("language", "doubt"), [("en", "do not rely on its answer"), ("ne", "भरपर्दो छैन")])
@pytest.mark.parametrize("codes", [[], [WarningCode.AGE_OUTSIDE_TRAINING]])
def test_an_e_mail_about_an_unreliable_result_says_so(make_image, user, read, language, doubt, codes):
    choose(user, (Event.POSITIVE, Channel.EMAIL), language=language)
    image = make_image(Status.READY, owner=user)
    read(image, pneumonia=0.9)
    Reading.objects.update(warnings=[{"code": code} for code in codes])
    deliver(), deliver()
    assert (doubt in outgoing.outbox[0].body) == bool(codes)


def test_no_e_mail_is_sent_without_a_mail_server(make_image, user, read, settings):
    settings.EMAIL_URL = ""
    choose(user, (Event.POSITIVE, Channel.EMAIL))
    read(make_image(Status.READY, owner=user), pneumonia=0.9)
    deliver()
    assert not Delivery.objects.filter(kind="email").exists()


@pytest.fixture
def waiting(make_image, user, read):
    """An image, and an e-mail about it that waits to be sent."""
    choose(user, (Event.POSITIVE, Channel.EMAIL))
    image = make_image(Status.READY, owner=user)
    read(image, pneumonia=0.9)
    event = Delivery.objects.get()
    announcing.announce_images(event)
    return image, Delivery.objects.get(kind="email")


@pytest.mark.parametrize(
    ("error", "permanent", "unreachable"),
    [
        (smtplib.SMTPRecipientsRefused({"ada": (550, b"no such user")}), True, False),
        (smtplib.SMTPRecipientsRefused({"ada": (451, b"later")}), False, False),
        (smtplib.SMTPDataError(451, b"later"), False, True),
        (smtplib.SMTPServerDisconnected("gone"), False, True),
        (ConnectionRefusedError(), False, True),
        (TimeoutError(), False, True),
    ],
)
def test_a_refused_e_mail_is_sent_again_or_given_up(waiting, monkeypatch, error, permanent, unreachable):
    def fail(*_):
        raise error

    monkeypatch.setattr(EmailBackend, "send_messages", fail)
    with pytest.raises(NotDeliveredError) as raised:
        mails.send(waiting[1])
    assert (raised.value.permanent, raised.value.unreachable) == (permanent, unreachable)


def test_an_e_mail_about_a_deleted_image_is_dropped(waiting, user):
    image, delivery = waiting
    image.readings.all().delete()
    image.delete()
    with pytest.raises(ObsoleteError):
        mails.send(delivery)
    assert outgoing.outbox == []


def test_an_e_mail_to_someone_who_may_no_longer_see_the_image_is_dropped(waiting, carol):
    image, delivery = waiting
    type(image).objects.filter(pk=image.pk).update(owner=carol)
    with pytest.raises(ObsoleteError):
        mails.send(delivery)


def test_the_owner_of_many_images_is_looked_up_once(make_image, user, django_assert_max_num_queries):
    images = [make_image(Status.SUCCEEDED, owner=user) for _ in range(8)]
    payload = {"images": [str(image.pk) for image in images]}
    event = Delivery(kind=Event.POSITIVE, payload=payload, created_at=timezone.now())
    with django_assert_max_num_queries(4 + len(images) + 2):  # a row of news for each, and a savepoint
        announcing.announce_images(event)
    assert set(News.objects.filter(person=user).values_list("image", flat=True)) == {image.pk for image in images}


# --- webhooks -------------------------------------------------------------------------------------------------------


def test_a_departments_webhook_gets_all_its_events(make_image, make_department, user, carol, read):
    department = make_department(manager=carol)
    webhook, _ = services.create_webhook(
        Identity(user=carol), "https://receiver.example/", ["image.positive"], department
    )
    image = make_image(Status.READY, department=department, uploaded_by=user)
    read(image, pneumonia=0.9)
    announcing.announce_images(Delivery.objects.get())
    [row] = Delivery.objects.filter(kind="webhook")
    assert (row.destination, row.payload["event"], row.payload["image"]) == (
        str(webhook.pk), "image.positive", str(image.pk),
    )  # fmt: skip


def test_webhooks_get_corrected_results_and_people_do_not(make_image, make_department, user, carol, read):
    department = make_department(manager=carol, uploader=user)
    webhooks = [
        services.create_webhook(Identity(user=carol), "https://receiver.example/", events, *owner)[0]
        for events in (["image.corrected"], ["image.positive"])
        for owner in ([department], [])
    ] + [services.create_webhook(Identity(user=user), "https://receiver.example/", ["image.corrected"])[0]]
    image = make_image(Status.READY, department=department, uploaded_by=user)
    read(image, pneumonia=0.1)
    reviews.review(image, Identity(user=carol), "PNEUMONIA")
    event = Delivery.objects.get(kind="image.corrected")
    for _ in range(2):
        announcing.announce_corrections(event)
    rows = Delivery.objects.filter(kind="webhook")
    assert {row.destination for row in rows} == {str(webhooks[0].pk), str(webhooks[-1].pk)}
    assert [sending._body(row.payload, webhooks[0])["image"]["id"] for row in rows] == [str(image.pk)] * 2
    assert not News.objects.exists()


def test_a_mailbox_is_deleted_when_its_address_is_removed(make_department, carol):
    department = make_department(manager=carol)
    for address in ("chest@hospital.example", ""):
        services.choose(Identity(user=carol), [], "en", department=department, address=address)
    assert not Mailbox.objects.exists()


def test_a_delivery_is_sent_again_by_hand(user):
    webhook, _ = services.create_webhook(Identity(user=user), "https://receiver.example/")
    services.send_test(webhook)
    delivery = Delivery.objects.get()
    Delivery.objects.update(state=State.DELIVERED, attempts=3)
    services.send_again(Identity(user=user), webhook, delivery)
    again = Delivery.objects.get()
    assert (again.state, again.attempts, again.payload) == (State.WAITING, 0, delivery.payload)
