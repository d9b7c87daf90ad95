"""Recipes: TOML files with all settings of a training."""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ml.pictures.augment import Strength
from ml.pictures.preprocess import Preprocessing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FOLDER = Path(__file__).parent / "recipes"
DEFAULT = "steady-vgg16"

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class Stage:
    """A part of a training, with its own image size and its own trainable part of the network.

    Attributes:
        epochs: the number of passes over the data.
        size: the width and height of the training images in pixels. Smaller images make the first epochs cheap. The
            network is always measured at the recipe's own size.
        freeze: the number of leading convolution blocks whose weights are not trained.
        learning_rate: the peak learning rate of this stage.
    """

    epochs: int
    size: int = 224
    freeze: int = 0
    learning_rate: float = 1e-4


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run; recorded in the bundle.

    Attributes:
        name: the recipe's name.
        architecture: a key of :data:`ml.networks.architectures.REGISTRY`.
        stages: the stages, which run one after another.
        members: used instead of stages: other recipes, each optionally with its own seed (``NAME:SEED``), whose
            networks' weights are averaged (:mod:`ml.training.average`). They share the preprocessing and the held-out
            patients.
        batch: the number of images per step.
        optimizer: ``adam`` or ``sgd``.
        momentum: the momentum of ``sgd``.
        schedule: ``cosine`` (a short warm-up, then falling over all stages) or ``constant``.
        label_smoothing: the share of each label given to the other class.
        balance: ``sampling`` (an epoch has as many normal as pneumonia images, each normal one ``repeat`` times),
            ``weights`` (every image once, with a higher weight for the rarer class) or ``none``.
        repeat: see ``balance``.
        average: the decay per step of the running average of the weights; 0 for no averaging.
        patience: the number of epochs without a better worst-case validation loss before stopping; 0 never stops early.
        keep: ``best`` (the epoch with the lowest worst-case loss) or ``last``.
        judge: ``hard`` (each epoch of the last stage, by the worst of several conditions) or ``plain`` (every epoch, by
            the loss over all held-out images as they are).
        dropout: the dropout rate in training, for networks that use dropout.
        held_out: the share of patients for validation.
        precision: the Keras dtype policy. ``mixed_bfloat16`` is twice as fast on a CPU with AVX-512 bf16.
        seed: the seed of the split, the order and the augmentation.
        patient_key: how patients are identified, see :func:`ml.dataset.data.split`.
        external: the share of an epoch's images that comes from other hospitals, if a training gets any. Half of these
            are normal; those labelled by experts are used twice as often.
        style: the probability that an image gets another one's grey levels and coarse brightness
            (:mod:`ml.training.mixing`).
        outside: the probability that an image gets the surroundings of the chest from another one.
        causes: the weight of the loss of a second head, which classifies normal, bacterial and viral and is dropped
            after the training.
        consistency: the weight of the squared difference between the logits of two views of each image.
        lungs: the weight, in the loss of a pneumonia, of the share of its map that lies outside the lungs
            (:mod:`ml.training.attention`).
        teachers: other recipes, written like ``members``, that are trained first. Their mean outputs for an augmented
            image become a part of its label (:mod:`ml.training.distillation`).
        distillation: the size of that part, from 0 to 1.
        preprocessing: the preprocessing in training and serving.
        augmentation: how strongly each training image is changed.
    """

    name: str = "unnamed"
    architecture: str = "vgg16"
    stages: tuple[Stage, ...] = (Stage(epochs=1),)
    members: tuple[str, ...] = ()
    batch: int = 16
    optimizer: str = "adam"
    momentum: float = 0.9
    schedule: str = "cosine"
    label_smoothing: float = 0.0
    balance: str = "weights"
    repeat: int = 2
    average: float = 0.0
    patience: int = 0
    keep: str = "best"
    judge: str = "hard"
    dropout: float = 0.3
    held_out: float = 0.12
    precision: str = "mixed_bfloat16"
    seed: int = 7
    patient_key: str = "cause"
    external: float = 0.0
    style: float = 0.0
    outside: float = 0.0
    causes: float = 0.0
    consistency: float = 0.0
    lungs: float = 0.0
    teachers: tuple[str, ...] = ()
    distillation: float = 0.0
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    augmentation: Strength = field(default_factory=Strength)

    def __post_init__(self) -> None:
        for name, allowed in (
            ("optimizer", ("adam", "sgd")),
            ("schedule", ("cosine", "constant")),
            ("balance", ("sampling", "weights", "none")),
            ("keep", ("best", "last")),
            ("judge", ("hard", "plain")),
            ("patient_key", ("cause", "number")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"recipe {self.name}: {name} is {getattr(self, name)!r}, not one of {allowed}")
        if self.consistency and self.batch % 2:
            raise ValueError(f"recipe {self.name}: two views of each image need an even batch")
        if not self.stages and not self.members:
            raise ValueError(f"recipe {self.name} has no stage")
        if self.stages and self.members:
            raise ValueError(f"recipe {self.name} has both stages and members")
        if bool(self.teachers) != (self.distillation > 0):
            raise ValueError(f"recipe {self.name}: teachers and distillation belong together")

    @property
    def epochs(self) -> int:
        """The number of epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def names() -> list[str]:
    """The recipes that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: one of :func:`names`, or the path of a TOML file.

    Raises:
        ValueError: for an unknown name, an unknown key, or a wrong value.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"unknown recipe {name!r}; known: {', '.join(names())}, or a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    values.pop("description", None)
    values["name"] = path.stem
    values["stages"] = tuple(_checked(Stage, stage, path) for stage in values.pop("stage", []))
    for key in ("members", "teachers"):
        values[key] = tuple(values.pop(key, ()))
    if "preprocessing" in values:
        try:
            values["preprocessing"] = Preprocessing.from_json(values["preprocessing"])
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from error
    if "augmentation" in values:
        values["augmentation"] = _checked(Strength, values["augmentation"], path)
    return _checked(Recipe, values, path)


def member(whole: Recipe, name: str) -> Recipe:
    """The recipe of a member or teacher, with the settings that the naming recipe decides.

    Args:
        whole: the recipe that names it.
        name: ``NAME`` or ``NAME:SEED``.

    Raises:
        ValueError: if it is unknown, has members or teachers itself, or has another network or preprocessing.
    """
    source, _, seed = name.partition(":")
    if seed and not seed.isdecimal():
        raise ValueError(f"recipe {whole.name}: member {name!r} has a seed that is no number")
    own = load(source)
    if own.members or own.teachers:
        raise ValueError(f"recipe {whole.name}: {name!r} consists of others itself")
    if (own.architecture, own.preprocessing) != (whole.architecture, whole.preprocessing):
        raise ValueError(f"recipe {whole.name}: member {name!r} has another network or another preprocessing")
    return dataclasses.replace(
        own, seed=int(seed) if seed else whole.seed, held_out=whole.held_out, precision=whole.precision
    )


def _checked(kind: type[T], values: dict[str, Any], path: Path) -> T:
    unknown = values.keys() - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{path}: unknown keys {', '.join(sorted(unknown))}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error
