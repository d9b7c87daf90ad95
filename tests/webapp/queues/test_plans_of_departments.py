"""The queues of departments cost what waits in them, and not what they have ever had."""

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


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite keeps no counts of single values")
def test_what_waits_in_departments_is_not_looked_for_among_all_that_they_have(user, make_department, make_image):
    department = make_department(manager=user)
    ready = make_image(Status.READY, department=department)
    by = Identity(user=User.objects.get(pk=user.pk))
    pretend_a_million_rows()
    with recorded() as queries:
        found = overview(by)
        pauses.pause(by, Pause.Kind.PAUSED, department=department)
        assert ready.readings.get().state == ReadingState.HELD
        pauses.resume(by, department=department)
    assert found.departments[0].waiting == 1
    assert queries.bad_plans() == []
    far = re.compile(r"SEARCH studies_(image|study) .*\(department_id=\?\)$", re.MULTILINE)
    assert [f"{sql}\n{plan}" for sql, plan in queries.plans() if far.search(plan)] == []
