"""The migration that fills the columns that lists are filtered by runs forwards and backwards."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from webapp.studies.models import Image


@pytest.mark.maintenance
@pytest.mark.django_db(transaction=True)
def test_the_migration_runs_forwards_and_backwards_and_keeps_every_row(make_image, make_department, user):
    ids = {make_image(owner=user).pk, make_image(department=make_department()).pk}
    (last,) = MigrationLoader(connection).graph.leaf_nodes("studies")
    try:
        MigrationExecutor(connection).migrate([("studies", "0013_reading_region")])
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM studies_image")
            assert cursor.fetchone() == (2,)
    finally:
        call_command("migrate", verbosity=0)
    assert {image.pk: (image.source, image.group, image.reviewed) for image in Image.objects.all()} == dict.fromkeys(
        ids, ("upload", "", False)
    )
    assert last in MigrationLoader(connection).applied_migrations
