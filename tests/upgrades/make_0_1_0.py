"""Make ``release-0.1.0.sqlite3.xz``: the database of a small clinic, written by that release's own services.

Run it in a checkout of release 0.1.0 (commit cd316f0), after ``python manage.py migrate``, with an empty DATA_DIR; then
compress ``DATA_DIR/db.sqlite3`` with xz. It is kept to document where the file comes from; nothing else needs it.
"""

import os
from itertools import count
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
django.setup()

from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.files.base import ContentFile  # noqa: E402

from tests import synthetic  # noqa: E402
from webapp.accounts.identity import Identity  # noqa: E402
from webapp.ops.services import report_worker  # noqa: E402
from webapp.reviews.models import Review  # noqa: E402
from webapp.studies import dispatch, services  # noqa: E402
from webapp.studies.models import Archive, Image  # noqa: E402

BALANCED = {"vgg16-pneumonia-1.0.0": 0.761, "vgg16-pneumonia-1.1.0": 0.8606}
DOUBT = {"code": "not_chest_xray", "detail": "This does not look like a chest X-ray."}
JPEG = synthetic.xray_jpeg(size=(80, 80))
number = count()

dispatch.send = lambda step, images: None
dispatch.send_unpack = lambda archive: None


def upload(who, patient="", priority="interactive"):
    file = ContentFile(JPEG, name="chest.jpeg")
    return services.create_image(who, file, filename=f"{next(number)}.jpeg", patient=patient, priority=priority)


def prepared(who, **more):
    image = services.start_ingest(upload(who, **more).pk)
    name = f"inputs/{image.pk.hex[:2]}/{image.pk}.png"
    services.finish_ingest(image, services.Prepared("ab" * 32, 80, 80, str(image.file.name), name))
    return image


def read(who, pneumonia, model, warnings=(), heatmap=bytes(range(49)), **more):
    image = prepared(who, **more)
    token, [held] = services.claim([image.pk])
    threshold = BALANCED[model]
    label = "PNEUMONIA" if pneumonia >= threshold else "NORMAL"
    result = services.Result(held.pk, 1 - pneumonia, pneumonia, label, warnings=warnings, heatmap=heatmap)
    assert services.succeed(token, [result], model=model, threshold=threshold, seconds=0.25) == 1
    return image


ada = User.objects.create_user("ada", password="a long enough password")
ada.groups.add(Group.objects.get(name="Radiologists"))
User.objects.create_superuser("admin", password="an admin's own password")
user, guest = Identity(user=ada), Identity(guest=UUID(int=7))
report_worker("infer@clinic", "infer", ready=True, model="vgg16-pneumonia-1.1.0", device="cpu")

upload(guest)  # queued
services.start_ingest(upload(user, patient="P-1").pk)  # queued, begun once
prepared(guest), prepared(user, priority="bulk")  # ready
suspect = prepared(user)
services.claim([suspect.pk])
services.release([suspect.pk])  # ready, has stopped a worker once
services.claim([prepared(guest).pk, prepared(user).pk])  # running
for model in BALANCED:
    for pneumonia in (0.02, 0.24, 0.61, 0.8, 0.87, 0.999):
        seen = read(user, pneumonia, model, patient="P-1")
    read(guest, 0.97, model, warnings=[DOUBT])
Review.objects.create(image=seen, reviewer=ada, verdict="PNEUMONIA", comment="left lower lobe")
services.fail(upload(guest).pk, "image_corrupt", "The image is damaged.")
services.fail(prepared(guest).pk, "model_error", "The model gave no number for this image.")
services.cancel_image(upload(guest))
services.cancel_image(prepared(guest))

files = [ContentFile(JPEG, name="a.jpeg"), ContentFile(synthetic.text(), name="b.txt")]
services.create_study(user, files, name="ward 3", patient="P-2")
zipped = synthetic.zip_of({f"{n}.jpg": JPEG for n in range(2)})
for state in ("queued", "unpacked", "failed"):
    study = services.create_study(user, [ContentFile(zipped, name="study.zip")], name=state)
    archive = Archive.objects.get(study=study)
    if state == "unpacked":
        services.unpack(archive.pk)
    elif state == "failed":
        services.fail_archive(archive.pk, "archive_corrupt", "The ZIP cannot be read.")
services.cancel_study(services.create_study(guest, files[:1], name="given up"))
print(Image.objects.count(), "images")
