"""A guest's uploads become the user's when the guest signs in with the same browser."""

from io import BytesIO

import pytest
from django.core.files.base import ContentFile

from tests.webapp.clients import JPEG, PASSWORD, PNG, Client
from tests.webapp.resumable import begin, go_on, head
from webapp.accounts.identity import Identity
from webapp.refusals import Refused
from webapp.resumable import services as resumable
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import archives, describing, takeover, uploads

pytestmark = pytest.mark.django_db
LOGIN = {"login": "ada", "password": PASSWORD}


def test_a_guests_uploads_belong_to_the_user_after_signing_in(client, new_client, user):
    job = client.upload(patient="P-1", filename="by-a-guest.jpg").json()
    study = client.upload_study({"a.jpg": PNG}, name="night", patient="P-2").json()
    other = new_client().upload().json()
    assert client.post("/accounts/login/", LOGIN).status_code == 302
    page = client.get("/").content.decode()
    assert "by-a-guest.jpg" in page
    assert "night" in page
    for url in (job["url"], study["url"]):
        assert client.get(url).status_code == 200
    assert {image.owner for image in Image.objects.exclude(pk=other["id"])} == {user}
    assert Study.objects.get().owner == user
    assert {patient.owner for patient in Patient.objects.all()} == {user}
    assert Image.objects.get(pk=other["id"]).owner is None, "it belongs to another guest"
    client.post("/accounts/logout/")
    assert client.get(job["url"]).status_code == 404, "the browser's guest owns nothing any more"


def test_the_next_page_says_what_was_taken_over(client, user):
    client.upload()
    client.upload_study({"a.jpg": PNG, "b.jpg": JPEG})
    client.post("/accounts/login/", LOGIN)
    assert "3 images from before you signed in are now yours." in client.get("/").content.decode()
    assert "from before" not in client.get("/").content.decode(), "the message is shown once"


def test_the_guests_token_is_invalid_after_signing_in(client, user, settings, problem):
    job = client.upload().json()
    stolen = client.cookies[settings.GUEST_COOKIE].value
    client.post("/accounts/login/", LOGIN)
    assert client.cookies[settings.GUEST_COOKIE].value == ""
    problem(Client().get(job["url"], headers={"X-Job-Token": job["token"]}), 401, "invalid_job_token")
    attacker = Client()
    attacker.cookies[settings.GUEST_COOKIE] = stolen
    assert attacker.upload().status_code == 202, "it comes from a new guest"
    assert Image.objects.filter(owner=user).count() == 1


def test_a_guest_who_registers_keeps_their_uploads(client, settings):
    settings.REGISTRATION = "open"
    job = client.upload(patient="P-1").json()
    fields = {"email": "eve@clinic.example", "password1": PASSWORD, "password2": PASSWORD}
    client.post("/accounts/signup/", fields)
    assert client.get(job["url"]).status_code == 200
    assert Image.objects.get().owner.username == "eve"
    assert "1 image from before you signed in is now yours." in client.get("/").content.decode()


def test_taking_over_again_changes_nothing(guest, user, make_image):
    make_image(guest=guest.guest)
    assert takeover.take_over(guest.guest, user) == (0, 1)
    assert takeover.take_over(guest.guest, user) == (0, 0)
    assert Image.objects.get().owner == user


def test_the_same_patient_of_guest_and_user_is_merged(client, user, user_client):
    for sender in (user_client, client):
        sender.upload(patient="P-1")
        sender.upload_study({"a.jpg": JPEG}, patient="P-1")
    client.post("/accounts/login/", LOGIN)
    patient = Patient.objects.get()
    assert patient.owner == user
    assert patient.images.count() == 4
    assert patient.studies.count() == 2


def test_the_users_image_keeps_its_uid_and_the_guests_copy_loses_it(user, guest, make_image):
    users, copy, another = (
        make_image(instance_uid=uid, **owner)
        for uid, owner in (("1.1", {"owner": user}), ("1.1", {"guest": guest.guest}), ("1.2", {"guest": guest.guest}))
    )
    takeover.take_over(guest.guest, user)
    uids = dict(Image.objects.filter(owner=user).values_list("pk", "instance_uid"))
    assert uids == {users.pk: "1.1", copy.pk: None, another.pk: "1.2"}


def test_asking_for_an_api_token_takes_nothing_over(client, user):
    job = client.upload().json()
    assert client.post("/api/v1/auth/token/", {"username": "ada", "password": PASSWORD}).status_code == 200
    assert client.get(job["url"]).status_code == 200
    assert Image.objects.get().owner is None


def test_a_forged_or_revoked_cookie_takes_nothing_over(client, user, settings):
    job = client.upload().json()
    assert Client().delete("/api/v1/auth/token/", headers={"X-Job-Token": job["token"]}).status_code == 204
    assert client.post("/accounts/login/", LOGIN).status_code == 302
    assert Image.objects.get().owner is None


def test_a_guests_unfinished_upload_continues_after_signing_in(client, new_client, user):
    key = {"Idempotency-Key": "ward 3/a.jpg"}
    job = client.upload().json()
    created = begin(client, len(PNG), PNG[:50], key, filename="a.png")
    other_guests = begin(new_client(), len(PNG), headers=key, filename="a.png")
    client.post("/accounts/login/", LOGIN)
    resumed = begin(client, len(PNG), headers=key, filename="a.png")
    assert (resumed["Location"], resumed["Upload-Offset"]) == (created["Location"], "50")
    assert go_on(client, resumed["Location"], 50, PNG[50:]).status_code == 204
    assert set(Image.objects.values_list("owner", flat=True)) == {user.pk}
    assert Image.objects.exclude(pk=job["id"]).get().filename == "a.png"
    assert head(client, other_guests["Location"]).status_code == 404
    assert begin(client, len(PNG), headers={"Idempotency-Key": "b"}, filename="b.png").status_code == 201


@pytest.fixture
def sign_in_before(guest, user, monkeypatch):
    """Let the guest sign in just before a function is called."""

    def before(module, name):
        function = getattr(module, name)

        def sign_in_first(*args, **kwargs):
            takeover.take_over(guest.guest, user)
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, sign_in_first)

    return before


def test_images_that_are_unpacked_during_the_sign_in_belong_to_the_user(
    guest, user, zipped, unpack_all, sign_in_before
):
    Patient.objects.create(owner=user, identifier="P-1")
    uploads.create_study(guest, [ContentFile(zipped, name="a.zip")], patient="P-1")
    sign_in_before(archives, "_write_chunk")
    assert unpack_all() == 3
    assert list(Image.objects.values_list("owner", "guest").distinct()) == [(user.pk, None)]
    assert set(Image.objects.values_list("patient", flat=True)) == {Patient.objects.get(owner=user).pk}


def test_files_that_are_added_during_the_sign_in_belong_to_the_user(guest, user, sign_in_before):
    study = uploads.create_study(guest, [ContentFile(JPEG, name="a.jpg")], patient="P-1")
    sign_in_before(uploads, "_keep_more")
    manifest = ContentFile(b"file,patient\nb.jpg,P-2\n", name="manifest.csv")
    uploads.add_to_study(guest, study, [ContentFile(PNG, name="b.jpg"), manifest])
    assert list(Image.objects.values_list("owner", "guest")) == [(user.pk, None)] * 2
    assert {patient.owner for patient in Patient.objects.all()} == {user}
    assert Image.objects.get(filename="b.jpg").patient.identifier == "P-2"


def test_patients_of_a_manifest_that_arrives_during_the_sign_in_belong_to_the_user(guest, user, sign_in_before):
    study = uploads.create_study(guest, [ContentFile(JPEG, name="a.jpg")])
    sign_in_before(describing, "_describe")
    uploads.add_to_study(guest, study, [ContentFile(b"file,patient\na.jpg,P-2\n", name="manifest.csv")])
    assert Patient.objects.get().owner == user


def test_an_upload_that_began_before_the_sign_in_is_refused(guest, user, sign_in_before, settings):
    """It would belong to the former guest, whom nobody can be any more."""
    sign_in_before(uploads, "_keep_image")
    sign_in_before(uploads, "_keep_study")
    with pytest.raises(Refused, match="nothing was stored"):
        uploads.create_image(guest, ContentFile(JPEG), filename="a.jpg")
    with pytest.raises(Refused, match="nothing was stored"):
        uploads.create_study(guest, [ContentFile(JPEG, name="a.jpg")])
    assert not Image.objects.exists()
    assert not Study.objects.exists()
    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]


def test_the_last_part_of_an_upload_can_be_sent_again_after_the_sign_in(guest, user, sign_in_before):
    upload = resumable.create(guest, len(JPEG), "", {"filename": "a.jpg"})
    sign_in_before(uploads, "_keep_image")
    with pytest.raises(Refused) as refused:
        resumable.receive(guest, upload.pk, resumable.Part(0, BytesIO(JPEG), len(JPEG)))
    assert refused.value.code == "session_changed"
    resumable.receive(Identity(user=user), upload.pk, resumable.Part(0, BytesIO(JPEG), len(JPEG)))
    assert Image.objects.get().owner == user
