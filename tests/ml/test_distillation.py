"""Distillation: networks that learn from the answers of other networks."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.dataset import data
from ml.training import objective, recipe
from ml.training.average import training
from ml.training.distillation import Distilled
from tests.ml.test_average import MEMBER
from tests.ml.test_objective import loss
from tests.ml.test_objective import recipe as with_options

TEACHER = MEMBER.format(smoothing=0.0, blur=0.0, more="")
STUDENT = """
teachers = {teachers}
distillation = 1.0
seed = 5
"""


@pytest.fixture
def student_run(tmp_path: Path, xrays: Path) -> Distilled:
    """A training with two teachers that have not been trained yet."""
    teacher, student = tmp_path / "teacher.toml", tmp_path / "student.toml"
    teacher.write_text(TEACHER)
    student.write_text(STUDENT.format(teachers=json.dumps([str(teacher), f"{teacher}:6"])) + TEACHER)
    run = training(recipe.load(str(student)), tmp_path / "work", data.scan(xrays))
    assert isinstance(run, Distilled)
    return run


def test_teachers_hold_out_the_same_patients(student_run: Distilled) -> None:
    assert [teacher.recipe.seed for teacher in student_run.teachers] == [5, 6]
    assert all(teacher.held_out == student_run.held_out for teacher in student_run.teachers)
    assert len({teacher.work for teacher in student_run.teachers}) == 2


def test_the_teachers_answers_are_the_label() -> None:
    truth = objective.targets(np.array([0, -1]), np.array([objective.NO_CAUSE] * 2), np.array([1.0, 0.0]))
    answers = np.array([[0.3, 0.7, 0.1, 0.9], [0.1, 0.9, 0.1, 0.9]], np.float32)
    distilled = loss(with_options(teachers=("one",), distillation=1.0), truth, answers)
    entropy = -(0.9 * np.log([0.7, 0.9]) + 0.1 * np.log([0.3, 0.1]))
    assert distilled == pytest.approx(entropy, rel=1e-4), "images without a label also learn from the teachers"
    half = loss(with_options(teachers=("one",), distillation=0.5), truth, answers)
    assert half == pytest.approx((distilled + loss(with_options(), truth, answers)) / 2, rel=1e-4)


def test_a_recipe_names_teachers_and_their_weight_together(tmp_path: Path) -> None:
    student = tmp_path / "student.toml"
    student.write_text(STUDENT.format(teachers="[]") + TEACHER)
    with pytest.raises(ValueError, match="belong together"):
        recipe.load(str(student))


@pytest.mark.training
def test_a_student_trains_after_its_teachers(student_run: Distilled, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    base = tmp_path / "base.weights.h5"
    keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(base)
    student_run.fit(base)
    assert [len(run.epochs()) for run in (*student_run.teachers, student_run)] == [1, 1, 1]
    wrapped = objective.around(student_run.trained(), student_run.recipe, 64, student_run.teacher_networks())
    assert wrapped.output.shape == (None, 4)
    names = {variable.path.split("/")[0] for variable in wrapped.trainable_variables}
    assert not {name for name in names if name.startswith("teacher")}
