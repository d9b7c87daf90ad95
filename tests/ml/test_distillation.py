"""Networks that learn from others."""

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
TAUGHT = """
teachers = {teachers}
distillation = 1.0
seed = 5
"""


@pytest.fixture
def taught(tmp_path: Path, xrays: Path) -> Distilled:
    """A training with two teachers, none of which has run."""
    teacher, student = tmp_path / "teacher.toml", tmp_path / "student.toml"
    teacher.write_text(TEACHER)
    student.write_text(TAUGHT.format(teachers=json.dumps([str(teacher), f"{teacher}:6"])) + TEACHER)
    made = training(recipe.load(str(student)), tmp_path / "work", data.scan(xrays))
    assert isinstance(made, Distilled)
    return made


def test_teachers_hold_out_the_same_patients(taught: Distilled) -> None:
    assert [teacher.recipe.seed for teacher in taught.teachers] == [5, 6]
    assert all(teacher.held_out == taught.held_out for teacher in taught.teachers)
    assert len({teacher.work for teacher in taught.teachers}) == 2


def test_what_teachers_say_is_the_label() -> None:
    truth = objective.targets(np.array([0, -1]), np.array([objective.NO_CAUSE] * 2), np.array([1.0, 0.0]))
    answers = np.array([[0.3, 0.7, 0.1, 0.9], [0.1, 0.9, 0.1, 0.9]], np.float32)
    whole = loss(with_options(teachers=("one",), distillation=1.0), truth, answers)
    entropy = -(0.9 * np.log([0.7, 0.9]) + 0.1 * np.log([0.3, 0.1]))
    assert whole == pytest.approx(entropy, rel=1e-4), "an image without a label learns from them too"
    half = loss(with_options(teachers=("one",), distillation=0.5), truth, answers)
    assert half == pytest.approx((whole + loss(with_options(), truth, answers)) / 2, rel=1e-4)


def test_a_recipe_names_teachers_and_how_far_they_are_believed(tmp_path: Path) -> None:
    student = tmp_path / "student.toml"
    student.write_text(TAUGHT.format(teachers="[]") + TEACHER)
    with pytest.raises(ValueError, match="belong together"):
        recipe.load(str(student))


@pytest.mark.training
def test_a_student_learns_what_its_teachers_say(taught: Distilled, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    base = tmp_path / "base.weights.h5"
    keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(base)
    taught.fit(base)
    assert [len(each.epochs()) for each in (*taught.teachers, taught)] == [1, 1, 1]
    shown = objective.around(taught.trained(), taught.recipe, 64, taught.teacher_networks())
    assert shown.output.shape == (None, 4)
    names = {variable.path.split("/")[0] for variable in shown.trainable_variables}
    assert not {name for name in names if name.startswith("teacher")}
