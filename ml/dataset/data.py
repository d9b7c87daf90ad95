"""The data set on disk: which image belongs to which patient and class, and which patients are held out."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLASSES = ("NORMAL", "PNEUMONIA")
SUFFIXES = {".jpeg", ".jpg", ".png"}
FOLDS = ("patients", "IM", "NORMAL2-IM", "early", "blocks")
#: Places of the contiguous blocks of normals that the fold ``blocks`` holds out: one by the seed.
BLOCKS = 3
SERIES = re.compile(r"^((?:NORMAL2-)?IM)-\d+$")
PATIENT = re.compile(r"^(person\d+(?:_(?:bacteria|virus))?|(?:NORMAL2-)?IM-\d+)")
CAUSE = re.compile(r"^(person\d+)_(?:bacteria|virus)$")


@dataclass(frozen=True)
class Sample:
    """One image file.

    Attributes:
        path: the file.
        label: index into :data:`CLASSES`.
        patient: an identifier shared by all images of one patient.
    """

    path: Path
    label: int
    patient: str


def patient_of(name: str) -> str:
    """The patient that a file name names.

    ``person12_bacteria_3.jpeg`` is patient ``person12_bacteria``, since children with bacteria and with viruses are
    numbered each on their own; ``NORMAL2-IM-0439-0001-0002.jpeg`` is ``NORMAL2-IM-0439``: where a number could mean an
    image or a patient, images are kept together. A name of another form is a patient of its own.
    """
    found = PATIENT.match(name)
    return found.group(1) if found else Path(name).stem


def scan(directory: Path) -> list[Sample]:
    """All images under ``directory/NORMAL`` and ``directory/PNEUMONIA``, sorted by name.

    Raises:
        FileNotFoundError: where a class has no folder or no image.
    """
    samples = []
    for label, name in enumerate(CLASSES):
        files = sorted(path for path in (directory / name).glob("*") if path.suffix.lower() in SUFFIXES)
        if not files:
            raise FileNotFoundError(f"no JPEG or PNG in {directory / name}; expected {' and '.join(CLASSES)} folders")
        samples += [Sample(path, label, patient_of(path.name)) for path in files]
    return samples


def split(
    samples: Iterable[Sample], held_out: float, seed: int, key: str = "cause"
) -> tuple[list[Sample], list[Sample]]:
    """Split by patient, so that no patient is on both sides.

    A patient's side depends only on their identifier and the seed, so it stays the same when images are added.

    Args:
        samples: from :func:`scan`.
        held_out: share of patients to hold out, 0 to 1.
        seed: another seed, another split.
        key: what tells patients apart: ``cause``, or ``number`` alone, as trainings before 1.3 did, which kept a child
            with bacteria and one with viruses on one side.

    Returns:
        (training, held out).
    """
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        name = CAUSE.sub(r"\1", sample.patient) if key == "number" else sample.patient
        sides[place_of(name, seed) < held_out].append(sample)
    return sides


def place_of(name: str, seed: int) -> float:
    """A number from 0 to 1 that depends on a name and a seed only."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64


def split_as(recipe: dict[str, Any], samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The samples that a bundle's training could learn from, and those that it held out.

    Args:
        recipe: as ``bundle.json`` has it; it may be empty.
        samples: from :func:`scan`.
    """
    share, seed = float(recipe.get("held_out", 0.12)), int(recipe.get("seed", 7))
    return split(samples, share, seed, recipe.get("patient_key", "number"))


def hold_out(
    samples: Sequence[Sample], fold: str, share: float, seed: int, key: str = "cause"
) -> tuple[list[Sample], list[Sample]]:
    """Split for one of the validations of :data:`FOLDS`.

    Args:
        samples: from :func:`scan`.
        fold: ``patients`` holds out a share of all patients. ``IM`` and ``NORMAL2-IM`` hold out, in place of normal
            patients drawn at random, every one of that acquisition series: the network has then never seen a normal
            image that was taken, exported and framed like those that it is measured on. ``early`` holds out the
            share of each series' normals that was numbered first. ``blocks`` holds out patients drawn at random and
            besides them a block of each series' normals (:func:`block`).
        share: of patients.
        seed: of the draw.
        key: as for :func:`split`.

    Returns:
        (training, held out).

    Raises:
        ValueError: for an unknown fold.
    """
    if fold not in FOLDS:
        raise ValueError(f"unknown fold {fold!r}; known: {', '.join(FOLDS)}")
    training, held = split(samples, share, seed, key)
    if fold == "patients":
        return training, held
    normals = [sample for sample in samples if sample.label == 0]
    if fold == "blocks":
        chosen = block(normals, share, seed)
        return (
            [s for s in training if s.patient not in chosen],
            held + [s for s in training if s.patient in chosen],
        )
    if fold == "early":
        chosen = _earliest(normals, share)
    else:
        chosen = {sample.patient for sample in normals if series_of(sample.patient) == fold}
    return (
        [s for s in training if s.label == 1] + [s for s in normals if s.patient not in chosen],
        [s for s in held if s.label == 1] + [s for s in normals if s.patient in chosen],
    )


def series_of(patient: str) -> str:
    """The acquisition series of a normal patient (``IM`` or ``NORMAL2-IM``), else an empty string."""
    found = SERIES.match(patient)
    return found.group(1) if found else ""


def cause_of(name: str) -> str:
    """``bacteria`` or ``virus`` where a pneumonia's file name says so, else an empty string."""
    return next((cause for cause in ("bacteria", "virus") if f"_{cause}_" in name), "")


def block(normals: Sequence[Sample], share: float, seed: int) -> set[str]:
    """Normal patients who were numbered one after the other, in each series, probably at about the same time: the first
    ones, those in the middle, or the last ones, by the seed.

    Args:
        normals: from :func:`scan`.
        share: of each series' patients.
        seed: modulo :data:`BLOCKS`, which block.
    """
    return _numbered(normals, share, (seed % BLOCKS) / (BLOCKS - 1))


def _earliest(normals: Sequence[Sample], share: float) -> set[str]:
    return _numbered(normals, share, 0.0)


def _numbered(normals: Sequence[Sample], share: float, place: float) -> set[str]:
    """A share of each series' patients in the order of their numbers, at a place from 0 (first) to 1 (last)."""
    chosen: set[str] = set()
    for series in {series_of(sample.patient) for sample in normals}:
        patients = sorted({s.patient for s in normals if series_of(s.patient) == series}, key=lambda p: (len(p), p))
        count = round(share * len(patients))
        start = round(place * (len(patients) - count))
        chosen |= set(patients[start : start + count])
    return chosen


def fingerprint(samples: Iterable[Sample]) -> str:
    """SHA-256 over the names and contents of all files: which data a model was trained on."""
    total = hashlib.sha256()
    for sample in samples:
        total.update(f"{sample.path.parent.name}/{sample.path.name}\n".encode())
        total.update(hashlib.sha256(sample.path.read_bytes()).digest())
    return total.hexdigest()
