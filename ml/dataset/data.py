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
#: Number of places for the contiguous block of normals that the fold ``blocks`` holds out. The seed chooses one.
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
    """The patient in a file name.

    ``person12_bacteria_3.jpeg`` is patient ``person12_bacteria``, since children with bacteria and those with viruses
    are numbered separately. ``NORMAL2-IM-0439-0001-0002.jpeg`` is ``NORMAL2-IM-0439``: if a number could mean an image
    or a patient, the images are kept together. Each name of another form is a separate patient.
    """
    found = PATIENT.match(name)
    return found.group(1) if found else Path(name).stem


def scan(directory: Path) -> list[Sample]:
    """Return all images under ``directory/NORMAL`` and ``directory/PNEUMONIA``, sorted by name.

    Raises:
        FileNotFoundError: a class has no folder or no image.
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
        seed: of the split.
        key: how patients are distinguished: ``cause`` (number and cause), or ``number``, as in trainings before 1.3,
            which kept a child with bacteria and one with viruses of the same number on one side.

    Returns:
        (training, held out).
    """
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        name = CAUSE.sub(r"\1", sample.patient) if key == "number" else sample.patient
        sides[place_of(name, seed) < held_out].append(sample)
    return sides


def place_of(name: str, seed: int) -> float:
    """A number from 0 to 1 that depends only on a name and a seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64


def split_as(recipe: dict[str, Any], samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Split samples into those that a bundle's training could learn from and those that it held out.

    Args:
        recipe: the recipe in ``bundle.json``; may be empty.
        samples: from :func:`scan`.
    """
    share, seed = float(recipe.get("held_out", 0.12)), int(recipe.get("seed", 7))
    return split(samples, share, seed, recipe.get("patient_key", "number"))


def hold_out(
    samples: Sequence[Sample], fold: str, share: float, seed: int, key: str = "cause"
) -> tuple[list[Sample], list[Sample]]:
    """Split by one of the methods of :data:`FOLDS`.

    Args:
        samples: from :func:`scan`.
        fold: ``patients`` holds out a share of all patients. ``IM`` and ``NORMAL2-IM`` hold out all normal patients of
            that acquisition series instead of randomly drawn ones, so that the network has never seen a normal image
            that was taken, exported and framed like those that it is measured on. ``early`` holds out the share of each
            series' normals with the lowest numbers. ``blocks`` holds out randomly drawn patients and a block of each
            series' normals (:func:`block`).
        share: share of patients to hold out.
        seed: of the draw.
        key: as for :func:`split`.

    Returns:
        (training, held out).

    Raises:
        ValueError: for an unknown fold.
    """
    if fold not in FOLDS:
        raise ValueError(f"unknown fold {fold!r}; known: {', '.join(FOLDS)}")
    training, held_out = split(samples, share, seed, key)
    if fold == "patients":
        return training, held_out
    normals = [sample for sample in samples if sample.label == 0]
    if fold == "blocks":
        chosen = block(normals, share, seed)
        return (
            [s for s in training if s.patient not in chosen],
            held_out + [s for s in training if s.patient in chosen],
        )
    if fold == "early":
        chosen = _earliest(normals, share)
    else:
        chosen = {sample.patient for sample in normals if series_of(sample.patient) == fold}
    return (
        [s for s in training if s.label == 1] + [s for s in normals if s.patient not in chosen],
        [s for s in held_out if s.label == 1] + [s for s in normals if s.patient in chosen],
    )


def series_of(patient: str) -> str:
    """The acquisition series of a normal patient (``IM`` or ``NORMAL2-IM``), otherwise empty."""
    found = SERIES.match(patient)
    return found.group(1) if found else ""


def cause_of(name: str) -> str:
    """``bacteria`` or ``virus`` from a pneumonia's file name, otherwise empty."""
    return next((cause for cause in ("bacteria", "virus") if f"_{cause}_" in name), "")


def block(normals: Sequence[Sample], share: float, seed: int) -> set[str]:
    """Choose normal patients with consecutive numbers in each series, who were probably X-rayed at about the same time.

    Args:
        normals: normal samples from :func:`scan`.
        share: share of each series' patients.
        seed: chooses the first, middle or last block, modulo :data:`BLOCKS`.
    """
    return _consecutive(normals, share, (seed % BLOCKS) / (BLOCKS - 1))


def _earliest(normals: Sequence[Sample], share: float) -> set[str]:
    return _consecutive(normals, share, 0.0)


def _consecutive(normals: Sequence[Sample], share: float, position: float) -> set[str]:
    """Choose consecutive patients, a share of each series, at a position from 0 (first numbers) to 1 (last numbers)."""
    chosen: set[str] = set()
    for series in {series_of(sample.patient) for sample in normals}:
        patients = sorted({s.patient for s in normals if series_of(s.patient) == series}, key=lambda p: (len(p), p))
        count = round(share * len(patients))
        start = round(position * (len(patients) - count))
        chosen |= set(patients[start : start + count])
    return chosen


def fingerprint(samples: Iterable[Sample]) -> str:
    """SHA-256 of the names and contents of all files, which identifies the data of a training."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.path.parent.name}/{sample.path.name}\n".encode())
        digest.update(hashlib.sha256(sample.path.read_bytes()).digest())
    return digest.hexdigest()
