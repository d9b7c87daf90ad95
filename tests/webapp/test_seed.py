"""The made-up rows of ``manage.py seed``."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from webapp.departments.models import Membership
from webapp.studies.choices import Status, packed_codes
from webapp.studies.models import Image, Patient, Reading, Study


@pytest.mark.django_db(transaction=True)
def test_seeded_rows_are_like_those_of_the_service(statements):
    before = connection.introspection.get_constraints(connection.cursor(), Image._meta.db_table)
    call_command("seed", images=300, studies=30, people=5, departments=3)
    assert Membership.objects.count() == 6
    assert (Image.objects.count(), Study.objects.count(), Patient.objects.count()) == (300, 30, 30)
    read = Image.objects.filter(status=Status.SUCCEEDED)
    assert Reading.objects.filter(state="succeeded").count() == read.count() > 200
    assert {image.result.group for image in read[:50]} >= {"positive", "unclear", "negative"}
    for image in read:
        assert image.group == image.result.group
        assert image.warning_codes == packed_codes(image.result.warnings)
        assert (image.probability is None) is (image.label == "") is (image.group == "unusable")
    image = Image.objects.filter(status=Status.SUCCEEDED).select_related("study", "patient").first()
    image.full_clean(exclude=["owner"])
    assert (image.owner_id, image.guest) == (image.study.owner_id, image.study.guest)
    assert image.patient_id == image.study.patient_id
    assert image.created_at < image.finished_at or image.created_at == image.finished_at
    connection.check_constraints()
    assert connection.introspection.get_constraints(connection.cursor(), Image._meta.db_table).keys() == before.keys()


def test_seed_refuses_production_and_a_database_with_images(make_image, settings):
    settings.ENVIRONMENT = "production"
    with pytest.raises(CommandError, match="production"):
        call_command("seed", images=1, studies=1)
    settings.ENVIRONMENT = "development"
    make_image()
    with pytest.raises(CommandError, match="images already"):
        call_command("seed", images=1, studies=1)
    assert Image.objects.count() == 1
