"""Images that a model has read and readers have judged, without their files."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.webapp.rows import BUNDLE
from webapp.departments.models import Department
from webapp.studies.choices import ReadingState, ReviewStage, Status
from webapp.studies.models import Image, Reading

MakeJudged = Callable[..., None]


@pytest.fixture
def manager(db: None) -> User:
    return User.objects.create_user("marta")


@pytest.fixture
def ward(make_department: Callable[..., Department], manager: User) -> Department:
    return make_department("ward", manager=manager)


@pytest.fixture
def manager_client(ward: Department, manager: User, new_client: Any, settings: Any) -> Any:
    client = new_client()
    client.force_login(manager, backend=settings.AUTHENTICATION_BACKENDS[-1])
    return client


@pytest.fixture
def make_judged(ward: Department) -> MakeJudged:
    """Create images: ``make_judged(5, "positive", "NORMAL")`` creates five. Those without a verdict are unread."""

    def create(
        number: int, group: str, verdict: str = "", *, score: float = 0.5, stage: str = "", at: datetime | None = None,
        bundle: str = BUNDLE, shadow: bool = False, distance: float | None = None, **image: Any,
    ) -> None:  # fmt: skip
        now = timezone.now()
        owner = {"department": ward} if not {"department", "owner", "guest"} & set(image) else {}
        stage = stage or (ReviewStage.DONE if verdict else ReviewStage.UNREAD)
        images = [
            Image(filename="x.jpg", size=1, dispatched_at=now, status=Status.SUCCEEDED, verdict=verdict, stage=stage,
                  reviewed=bool(verdict), **owner, **image)
            for _ in range(number)
        ]  # fmt: skip
        Image.objects.bulk_create(images)
        if at:
            Image.objects.filter(pk__in=[one.pk for one in images]).update(created_at=at)
        Reading.objects.bulk_create(
            Reading(image=one, bundle=bundle, shadow=shadow, priority="bulk", state=ReadingState.SUCCEEDED,
                    dispatched_at=now, group=group, probability=score, distance=distance)
            for one in images
        )  # fmt: skip

    return create
