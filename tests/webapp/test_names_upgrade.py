"""The upgrade converts names of earlier releases to the Unicode form (NFC) in which names are searched."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unicodedata import normalize

import pytest
from django.apps import apps
from django.db import connection

from webapp.studies import search
from webapp.studies.models import Image, Patient, Study

pytestmark = pytest.mark.django_db

COMPOSED, DECOMPOSED = (normalize(form, "Müller-Ångström") for form in ("NFC", "NFD"))
migration = import_module("webapp.studies.migrations.0017_names_in_nfc")


def upgrade() -> None:
    migration.normalise_names(apps, SimpleNamespace(connection=connection))


def test_the_names_of_files_and_studies_are_converted(user: Any, make_image: Any) -> None:
    image = make_image(owner=user, filename=f"{DECOMPOSED}.png")
    other = make_image(owner=user, filename="plain.png")
    study = Study.objects.create(owner=user, name=DECOMPOSED)
    upgrade()
    names = dict(Image.objects.values_list("pk", "filename"))
    assert names == {image.pk: f"{COMPOSED}.png", other.pk: "plain.png"}
    assert Study.objects.get(pk=study.pk).name == COMPOSED
    assert search.find(Image, COMPOSED).within(Image.objects).count() == 1


def test_two_patients_with_the_same_identifier_are_merged(user: Any, make_image: Any) -> None:
    kept = Patient.objects.create(owner=user, identifier=COMPOSED)
    second = Patient.objects.create(owner=user, identifier=DECOMPOSED)
    image = make_image(owner=user, patient=second)
    study = Study.objects.create(owner=user, patient=second)
    upgrade()
    assert list(Patient.objects.values_list("pk", flat=True)) == [kept.pk]
    assert Image.objects.get(pk=image.pk).patient_id == kept.pk
    assert Study.objects.get(pk=study.pk).patient_id == kept.pk


def test_the_same_identifier_of_another_owner_stays_another_patient(user: Any) -> None:
    mine = Patient.objects.create(owner=user, identifier=COMPOSED)
    guests = Patient.objects.create(guest="5f0c1f5e-0000-4000-8000-000000000000", identifier=DECOMPOSED)
    upgrade()
    assert dict(Patient.objects.values_list("pk", "identifier")) == {mine.pk: COMPOSED, guests.pk: COMPOSED}
