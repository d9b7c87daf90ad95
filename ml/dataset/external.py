"""Chest X-rays from other hospitals: how reliable their labels are, and which of them a training may use.

Most of their normals come from one source and most of their pneumonias from others, so figures over all of them would
partly measure the source. Each chest therefore records its source and who labelled it.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ml.dataset.data import Sample, place_of

#: Labels of an index that tell whether there is pneumonia.
LABELS = {"normal": 0, "pneumonia": 1, "covid19": 1}
#: Quality of labels that a program took from reports. About half of these pneumonias are false.
FROM_REPORTS = "text-mined"
EXPERT = "expert"
UNKNOWN = -1
FOLDS = 3
#: Seed of the division into thirds, which stays the same for all seeds of a training.
SEED = 7


@dataclass(frozen=True)
class Chest:
    """A frontal chest X-ray from another hospital.

    Attributes:
        sample: the image; its label is :data:`UNKNOWN` if the label in the index is not reliable.
        source: the collection that the image comes from.
        quality: who labelled the image: ``expert``, ``case-level`` or ``text-mined``.
        stated: the label in the index, reliable or not.
        age: in years; None if unknown.
        sex: as in the index.
        view: as in the index: ``AP`` or ``PA``.
    """

    sample: Sample
    source: str
    quality: str
    stated: str
    age: float | None = None
    sex: str = ""
    view: str = ""


def read(directory: Path) -> list[Chest]:
    """Read the rows of ``directory/index.csv``.

    The columns are ``file``, ``source``, ``label``, ``label_quality`` and ``patient``. ``age_years``, ``sex`` and
    ``view`` may be there; others are ignored.

    Raises:
        ValueError: a column is missing.
        FileNotFoundError: the index, or an image in it, is missing.
    """
    with (directory / "index.csv").open(newline="") as stream:
        reader = csv.DictReader(stream)
        missing = {"file", "source", "label", "label_quality", "patient"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{directory / 'index.csv'} lacks the columns {', '.join(sorted(missing))}")
        rows = list(reader)
    chests = []
    for row in rows:
        path = directory / row["file"]
        if not path.is_file():
            raise FileNotFoundError(f"{directory / 'index.csv'} names {row['file']}, which is not there")
        stated, quality = row["label"].strip().lower(), row["label_quality"].strip().lower()
        label = LABELS.get(stated, UNKNOWN)
        if label == 1 and quality == FROM_REPORTS:
            label = UNKNOWN
        patient = f"{row['source']}:{row['patient'].strip() or path.stem}"
        age, sex, view = ((row.get(name) or "").strip() for name in ("age_years", "sex", "view"))
        sample = Sample(path, label, patient)
        chests.append(Chest(sample, row["source"], quality, stated, _years(age), sex, view))
    return chests


def _years(age: str) -> float | None:
    try:
        return float(age)
    except ValueError:
        return None  # no training needs the age, so an odd one is no reason to refuse the index


def split(chests: Iterable[Chest], fold: int | None, seed: int) -> tuple[list[Chest], list[Chest]]:
    """Split by patient into chests for training and chests for measuring.

    Args:
        chests: from :func:`read`.
        fold: the third of the patients that is held out; None holds out no one.
        seed: of the division into thirds.

    Returns:
        (training, held out).
    """
    sides: tuple[list[Chest], list[Chest]] = ([], [])
    for chest in chests:
        sides[fold is not None and int(place_of(chest.sample.patient, seed) * FOLDS) == fold].append(chest)
    return sides
