"""The worklist's migrations keep every verdict, make it final where readers agree, and can be reversed."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from webapp.reviews.models import Review
from webapp.studies.choices import Status
from webapp.studies.models import Image

BEFORE = [("studies", "0021_turns_of_preparing"), ("reviews", "0005_reviewed"), ("departments", "0005_prevalence")]


@pytest.mark.maintenance
@pytest.mark.django_db(transaction=True)
def test_existing_verdicts_become_final_and_reversing_restores_the_models_groups(make_image, read, user):
    other = User.objects.create_user("bob")
    cases = {
        "agreed": ["NORMAL", "UNSURE"],
        "contradicted": ["NORMAL", "PNEUMONIA"],
        "unsure": ["UNSURE"],
        "unread": [],
    }
    for name, verdicts in cases.items():
        image = make_image(Status.READY, filename=name)
        read(image)
        for reader, verdict in zip((user, other), verdicts, strict=False):
            Review.objects.create(image=image, reviewer=reader, verdict=verdict, comment=name)
    try:
        MigrationExecutor(connection).migrate(BEFORE)
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM reviews_review")
            assert cursor.fetchone() == (5,)
            cursor.execute("UPDATE studies_image SET reviewed = %s", [True])
    finally:
        call_command("migrate", verbosity=0)
    columns = ("filename", "stage", "verdict", "group")
    assert set(Image.objects.values_list(*columns)) == {
        ("agreed", "done", "NORMAL", "negative"),
        ("contradicted", "disagreed", "", "positive"),
        ("unsure", "done", "UNSURE", "unclear"),
        ("unread", "unread", "", "positive"),
    }
    assert set(Review.objects.values_list("kind", "decides")) == {("", False)}
    try:
        MigrationExecutor(connection).migrate([("reviews", "0006_worklist")])
        with connection.cursor() as cursor:
            name = connection.ops.quote_name("group")
            cursor.execute(f"SELECT DISTINCT {name} FROM studies_image")  # noqa: S608  (a column of our own, quoted)
            assert cursor.fetchall() == [("positive",)]
    finally:
        call_command("migrate", verbosity=0)
