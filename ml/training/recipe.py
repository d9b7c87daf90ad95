"""Recipes: TOML files with every setting of a training."""

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
    """A part of a training with its own image size and its own share of the network.

    Attributes:
        epochs: passes over the data.
        size: side of the training images in pixels. A smaller one makes the first epochs cheap; the network is measured
            at the recipe's own size throughout.
        freeze: leading convolution blocks that keep the weights they have.
        learning_rate: peak of this stage.
    """

    epochs: int
    size: int = 224
    freeze: int = 0
    learning_rate: float = 1e-4


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run; recorded in the bundle.

    Attributes:
        name: of the recipe.
        architecture: key of :data:`ml.networks.architectures.REGISTRY`.
        stages: run one after the other.
        members: in place of stages: other recipes, each with a seed of its own where it says so (``NAME:SEED``), whose
            networks' weights are averaged (:mod:`ml.training.average`). They share the preprocessing and the held-out
            patients.
        batch: images a step.
        optimizer: ``adam`` or ``sgd``.
        momentum: of ``sgd``.
        schedule: ``cosine`` (a short warm-up, then down over all stages) or ``constant``.
        label_smoothing: share of each label given to the other class.
        balance: ``sampling`` (an epoch shows as many normal as pneumonia images, each normal one ``repeat`` times),
            ``weights`` (every image once, the rarer class weighted up) or ``none``.
        repeat: see ``balance``.
        average: decay of the running average of the weights, per step; 0 uses the weights as they are.
        patience: epochs without a better worst-case validation loss before stopping; 0 never stops early.
        keep: ``best`` (the epoch with the lowest worst-case loss) or ``last``.
        judge: ``hard`` (each epoch of the last stage, by the worst of several conditions) or ``plain`` (every epoch, by
            the loss over all held-out images as they are).
        dropout: while training, in the networks that have it.
        held_out: share of patients for validation.
        precision: Keras' dtype policy. ``mixed_bfloat16`` is twice as fast on a processor with AVX-512 bf16.
        seed: of the split, the order and the augmentation.
        patient_key: what tells patients apart, see :func:`ml.dataset.data.split`.
        external: share of an epoch's images that come from other hospitals, where a training is given any. Half of them
            are normal; what experts labelled is shown twice as often.
        style: probability that an image is shown with another one's grey levels and coarse brightness
            (:mod:`ml.training.mixing`).
        outside: probability that what lies outside the chest is shown as it is in another image.
        causes: weight of a second head's loss, which tells normal, bacterial and viral apart and is dropped afterwards.
        consistency: weight of the squared difference of the logits of two views of each image.
        lungs: weight, in a pneumonia's loss, of the share of its map that lies outside the lungs
            (:mod:`ml.training.attention`).
        teachers: other recipes that are trained first, named as ``members`` are. What they say on average of an image,
            as it is shown, becomes a part of its label (:mod:`ml.training.distillation`).
        distillation: which part, from 0 to 1.
        preprocessing: in training and in serving.
        augmentation: how far each training image is changed.
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
        """The sum over all stages."""
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
        ValueError: for an unknown name, key or value.
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
    values["stages"] = tuple(_made(Stage, stage, path) for stage in values.pop("stage", []))
    for names_others in ("members", "teachers"):
        values[names_others] = tuple(values.pop(names_others, ()))
    if "preprocessing" in values:
        try:
            values["preprocessing"] = Preprocessing.from_json(values["preprocessing"])
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from error
    if "augmentation" in values:
        values["augmentation"] = _made(Strength, values["augmentation"], path)
    return _made(Recipe, values, path)


def member(whole: Recipe, name: str) -> Recipe:
    """The recipe of a member or teacher, with what the whole decides.

    Args:
        whole: the recipe that names it.
        name: ``NAME`` or ``NAME:SEED``.

    Raises:
        ValueError: where it is not there, has others itself, or has another network or preprocessing.
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


def _made(kind: type[T], values: dict[str, Any], path: Path) -> T:
    unknown = values.keys() - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{path}: unknown keys {', '.join(sorted(unknown))}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error
