"""A department with its manager and members."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.webapp.clients import Client
from webapp.ops.models import Worker

API = "/api/v1/departments/"
ALPHA = f"{API}alpha/"


@pytest.fixture
def people():
    names = ("reader", "uploader", "manager", "colleague")
    return {name: User.objects.create_user(name, f"{name}@example.org") for name in names}


@pytest.fixture
def department(people, make_department):
    return make_department("alpha", **{name: people[name] for name in ("reader", "uploader", "manager")})


@pytest.fixture
def worker(db):
    """A worker that prepares images for a model with two operating points."""
    Worker.objects.create(
        name="ingest@a", role="ingest", model="net-1.0.0", operating_points=["balanced", "screening"],
        seen_at=timezone.now(),
    )  # fmt: skip


@pytest.fixture
def manager(people, department):
    return signed_in(people["manager"])


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def send(client, method, path, **fields):
    return getattr(client, method)(path, fields, content_type="application/json")


def member(department, name):
    return department.memberships.get(user__username=name)
