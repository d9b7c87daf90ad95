"""Chests from other hospitals: what their labels are worth, and which of them a training may see.

Most of their normals come from one source and most of their pneumonias from others, so figures over all of them would
partly measure the source. They are told apart by source, and by who labelled them.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ml.dataset.data import Sample, place_of

#: Labels of an index that say whether there is pneumonia.
LABELS = {"normal": 0, "pneumonia": 1, "covid19": 1}
#: Rows that were labelled by a program from reports: about half of their pneumonias are none.
FROM_REPORTS = "text-mined"
EXPERT = "expert"
UNKNOWN = -1
FOLDS = 3
#: Of the thirds, which stay the same whatever a training draws.
SEED = 7


@dataclass(frozen=True)
class Chest:
    """A frontal chest of another hospital.

    Attributes:
        sample: its label is :data:`UNKNOWN` where none can be relied on.
        source: the collection that it comes from.
        quality: who labelled it: ``expert``, ``case-level`` or ``text-mined``.
        stated: the label as the index has it, relied on or not.
    """

    sample: Sample
    source: str
    quality: str
    stated: str


def read(directory: Path) -> list[Chest]:
    """The rows of ``directory/index.csv``, whose columns are ``file``, ``source``, ``label``, ``label_quality`` and
    ``patient``; others are ignored.

    Raises:
        ValueError: where a column is missing.
        FileNotFoundError: where the index, or an image that it names, is missing.
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
        chests.append(Chest(Sample(path, label, patient), row["source"], quality, stated))
    return chests


def split(chests: Iterable[Chest], fold: int | None, seed: int) -> tuple[list[Chest], list[Chest]]:
    """Split by patient into those to learn from and those to measure on.

    Args:
        chests: from :func:`read`.
        fold: which third of the patients is held out; None holds out nobody.
        seed: another seed, other thirds.

    Returns:
        (training, held out).
    """
    sides: tuple[list[Chest], list[Chest]] = ([], [])
    for chest in chests:
        sides[fold is not None and int(place_of(chest.sample.patient, seed) * FOLDS) == fold].append(chest)
    return sides
