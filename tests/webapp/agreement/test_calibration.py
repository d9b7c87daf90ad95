"""A department's calibration on its own images: how it is chosen, measured, applied and undone."""

import math
import random
import re
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.auth.models import User

from ml.statistics import calibration as reference
from tests.webapp.rows import BUNDLE
from webapp import statistics
from webapp.agreement import local
from webapp.agreement.local import Judged
from webapp.audit.models import Entry
from webapp.departments.models import Calibration, Department
from webapp.ops.services import report_worker
from webapp.refusals import Refused
from webapp.statistics import Line, fit_line
from webapp.studies.choices import GROUP_BY_VERDICT
from webapp.studies.models import Image, Patient, Reading

PAGE = "/departments/ward/calibration/"


@pytest.fixture
def model(db: None) -> None:
    points = ["balanced", "screening"]
    report_worker(uuid4(), "ingest@x", "ingest", ready=True, model=BUNDLE, operating_points=points)


@pytest.fixture
def read(make_judged: Any, model: None) -> None:
    """Sixty images of each kind; the model's scores are far too high."""
    for number in range(60):
        make_judged(1, "positive", "PNEUMONIA", score=0.90 + number / 1000)
        make_judged(1, "positive", "NORMAL", score=0.70 + number / 240)
    set_groups_by_verdict()


def set_groups_by_verdict() -> None:
    for verdict, group in GROUP_BY_VERDICT.items():
        Image.objects.filter(verdict=verdict).update(group=group)


def sample(sick: int, well: int, separation: float = 2.0) -> list[Judged]:
    rng = random.Random(4)
    kinds = [1] * sick + [0] * well
    return [Judged(1 / (1 + math.exp(-rng.gauss(separation * kind, 1))), bool(kind)) for kind in kinds]


@pytest.mark.parametrize(
    "separation", [2.0, *(pytest.param(separation, marks=pytest.mark.long) for separation in (0.5, 40.0))]
)
def test_the_line_equals_that_of_the_models_own_calibration(separation: float) -> None:
    found = sample(70, 90, separation)
    scores, truth = [one.score for one in found], [one.sick for one in found]
    line, expected = fit_line(scores, truth), reference.fit(np.array(truth, dtype=int), np.array(scores))
    assert [line.apply(one) for one in (0.1, 0.5, 0.9)] == pytest.approx(
        list(expected.apply(np.array([0.1, 0.5, 0.9]))), abs=2e-3
    )


def test_fitting_stops_once_the_line_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    loss = statistics._loss
    monkeypatch.setattr(statistics, "_loss", lambda *args: calls.append(1) or loss(*args))
    found = sample(100, 100)
    fit_line([one.score for one in found], [one.sick for one in found])
    assert len(calls) < 10


def test_undoing_the_line_gives_the_models_own_score() -> None:
    line = Line(1.7, -0.4)
    assert line.undo(line.apply(0.3)) == pytest.approx(0.3)


def test_calibrated_scores_match_the_given_frequency_of_pneumonia() -> None:
    found = sample(100, 100)
    choice = local.choose(found, 0.1, 95, 99)
    line = Line(choice.slope, choice.intercept)
    well, sick = ([line.apply(one.score) for one in found if one.sick == kind] for kind in (False, True))
    assert 0.9 * sum(well) / 100 + 0.1 * sum(sick) / 100 == pytest.approx(0.1, abs=0.03)


def test_thresholds_are_measured_on_images_that_did_not_choose_them() -> None:
    found = sample(60, 60, separation=1.0)
    candidates = {one.requested: one for one in local.candidates(found, local.choose(found, 0.5, 80, 99))}
    threshold = local.at_sensitivity(found, 90)
    assert sum(one.score >= threshold for one in found if one.sick) == 54, (
        "exactly the requested sensitivity on the images that chose the threshold"
    )
    assert candidates[90].sensitivity is not None
    assert candidates[90].sensitivity.value < 0.9


def test_too_few_and_contradictory_verdicts_are_refused() -> None:
    with pytest.raises(Refused, match="Fewer than 50"):
        local.choose(sample(49, 200), 0.2, 95, 99)
    with pytest.raises(Refused, match="do not increase"):
        local.choose(sample(60, 60, separation=-2.0), 0.2, 95, 99)


def test_a_child_counts_once_with_the_latest_image(read: None, ward: Department) -> None:
    assert len(local.judged(ward, BUNDLE)) == 120
    patient = Patient.objects.create(identifier="P1", department=ward)
    Image.objects.filter(verdict="PNEUMONIA").update(patient=patient)
    found = local.judged(ward, BUNDLE)
    assert (len(found), sum(one.sick for one in found)) == (61, 1)
    assert local.judged(ward, "other-1.0.0") == []
    Reading.objects.filter(image__verdict="NORMAL").update(group="unusable")
    assert len(local.judged(ward, BUNDLE)) == 1


def test_a_manager_views_applies_and_undoes_a_calibration(
    read: None, manager_client: Any, ward: Department, manager: User
) -> None:
    page = manager_client.get(PAGE).content.decode()
    assert "60 children with pneumonia and 60 normal ones" in page
    assert "With fewer than 100 of each kind the intervals below are wide" in page
    seen = re.search(r'name="seen" value="([^"]+)"', page)
    assert seen
    assert manager_client.post(PAGE, {"seen": "0.1 0.2"}).status_code == 409
    assert not Calibration.objects.exists()
    assert manager_client.post(PAGE, {"seen": seen[1]}).status_code == 302
    calibration = Calibration.objects.get()
    assert (calibration.department, calibration.bundle, calibration.chosen_by) == (ward, BUNDLE, manager)
    assert calibration.unclear_from < calibration.positive_from
    assert calibration.answers["normal"]["images"] == 60
    assert "In force: signs of pneumonia from" in manager_client.get(PAGE).content.decode()
    assert Entry.objects.filter(action="settings_change", object_id=str(ward.pk)).count() == 1
    undo = f"{PAGE}{calibration.pk}/undo/"
    assert manager_client.post(undo).status_code == 302
    assert manager_client.post(undo).status_code == 409, "the calibration is no longer in force"
    assert "In force: the thresholds of the model" in manager_client.get(PAGE).content.decode()
    assert Entry.objects.filter(action="settings_change", object_id=str(ward.pk)).count() == 2


def test_undoing_restores_the_previous_calibration(read: None, manager_client: Any) -> None:
    for signs in (80, 95):
        page = manager_client.get(PAGE, {"signs": signs}).content.decode()
        seen = re.search(r'name="seen" value="([^"]+)"', page)
        assert seen
        manager_client.post(PAGE, {"signs": signs, "seen": seen[1]})
    newest, first = Calibration.objects.all()
    manager_client.post(f"{PAGE}{first.pk}/undo/")
    assert Calibration.objects.filter(undone_at=None).count() == 2, "only the one in force can be undone"
    manager_client.post(f"{PAGE}{newest.pk}/undo/")
    assert f"{PAGE}{first.pk}/undo/" in manager_client.get(PAGE).content.decode()


def test_with_too_few_verdicts_the_page_says_how_many_there_are(
    make_judged: Any, model: None, manager_client: Any
) -> None:
    make_judged(12, "positive", "PNEUMONIA", score=0.9)
    set_groups_by_verdict()
    answer = manager_client.get(PAGE)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "12 children with pneumonia and 0 normal ones" in page
    assert "At least 50 of each kind are needed" in page
    assert 'id="apply"' not in page
    assert manager_client.post(PAGE, {"seen": ""}).status_code == 409
    assert manager_client.get(PAGE, {"signs": 97, "no_signs": 95}).status_code == 400
