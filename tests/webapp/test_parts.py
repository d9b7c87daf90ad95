"""Lists that are read in many parts: no part is left out, however many there are and whatever form the query has."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from tests.webapp.rows import radiologists
from webapp.accounts.identity import Identity
from webapp.http import parts, walks
from webapp.reviews.worklist import Worklist
from webapp.studies.choices import Status
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db


@pytest.fixture
def image_ids(user, make_department, make_image, read):
    """An image in each of 25 departments, the oldest first: a worklist of more than 500 sections."""
    user.groups.add(radiologists())
    images = [make_image(Status.READY, department=make_department(f"d{n}", uploader=user)) for n in range(25)]
    read(*images)
    for n, image in enumerate(images):
        Image.objects.filter(pk=image.pk).update(created_at=timezone.now() - timedelta(hours=n))
    return [image.pk for image in reversed(images)]


@pytest.mark.parametrize("repeated", [walks.REPEATED, {}], ids=["repeated", "combined, as in MariaDB"])
def test_a_worklist_of_many_sections_has_the_images_of_each(
    image_ids, user, django_assert_max_num_queries, repeated, monkeypatch
):
    monkeypatch.setattr(walks, "REPEATED", repeated)
    worklist = Worklist(Identity(user=User.objects.get(pk=user.pk)), {})
    with django_assert_max_num_queries(9):
        page = worklist.page(20)
    assert [image.pk for image in page.rows] == image_ids[:20]
    assert [image.pk for image in worklist.page(20, page.next).rows] == image_ids[20:]
    assert worklist.counts().total() == 25


@pytest.mark.parametrize(
    "query", ["group=positive", "status=succeeded", "priority=interactive&search=chest", "group=positive&search=chest"]
)
def test_a_list_of_many_parts_has_the_images_of_each(image_ids, user, client, query, monkeypatch):
    monkeypatch.setattr("webapp.studies.search.MAX_IDS", 1)
    client.force_login(user)
    found = client.get(f"/api/v1/images/?{query}").json()["results"]
    assert [image["id"] for image in found] == [str(pk) for pk in reversed(image_ids)]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="its statement is in the SQL of PostgreSQL")
def test_postgresql_plans_many_parts_once():
    sql = "SELECT 100 %% 7 AS a, %s::int AS b, %s::text AS c"
    [(combined, params)] = parts.combined([(sql, (n, "same")) for n in range(parts.PLANNED_SEPARATELY + 1)])
    with connection.cursor() as cursor:
        cursor.execute(combined, params)
        assert cursor.fetchall() == [(2, n, "same") for n in range(parts.PLANNED_SEPARATELY + 1)]
    assert combined.count("SELECT 100") == 1
