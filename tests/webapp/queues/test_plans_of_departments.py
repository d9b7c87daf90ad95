"""The cost of a department's queue depends on its waiting images, not on all images it ever had."""

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tests.plans import pretend_a_million_rows, recorded
from webapp.accounts.identity import Identity
from webapp.queues.overview import overview
from webapp.studies.choices import ReadingState, Status
from webapp.studies.models import Pause
from webapp.studies.services import pauses

pytestmark = pytest.mark.django_db


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it replaces the statistics of SQLite")
def test_waiting_images_are_not_searched_among_all_images_of_a_department(user, make_department, make_image):
    department = make_department(manager=user)
    ready = make_image(Status.READY, department=department)
    identity = Identity(user=User.objects.get(pk=user.pk))
    pretend_a_million_rows()
    with recorded() as queries:
        found = overview(identity)
        pauses.pause(identity, Pause.Kind.PAUSED, department=department)
        assert ready.readings.get().state == ReadingState.HELD
        pauses.resume(identity, department=department)
    assert found.departments[0].waiting == 1
    assert queries.bad_plans() == []
    by_department_alone = re.compile(r"SEARCH studies_(image|study) .*\(department_id=\?\)$", re.MULTILINE)
    assert [f"{sql}\n{plan}" for sql, plan in queries.plans() if by_department_alone.search(plan)] == []
