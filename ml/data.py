"""The data set on disk: which image belongs to which patient and class, and which patients are held out."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ml.architectures import CLASSES

SUFFIXES = {".jpeg", ".jpg", ".png"}
PATIENT = re.compile(r"^(person\d+|(?:NORMAL2-)?IM-\d+)")


@dataclass(frozen=True)
class Sample:
    """One image file.

    Attributes:
        path: the file.
        label: index into :data:`ml.architectures.CLASSES`.
        patient: an identifier shared by all images of one patient.
    """

    path: Path
    label: int
    patient: str


def patient_of(name: str) -> str:
    """The patient that a file name stands for.

    ``person12_bacteria_3.jpeg`` is patient ``person12``; ``NORMAL2-IM-0439-0001-0002.jpeg`` is ``NORMAL2-IM-0439``:
    where a number could mean an image or a patient, images are kept together. A name of another form is a patient of
    its own.
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


def split(samples: Iterable[Sample], held_out: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split by patient, so that no patient is on both sides.

    A patient's side depends only on their identifier and the seed, so it stays the same when images are added.

    Args:
        samples: from :func:`scan`.
        held_out: share of patients to hold out, 0 to 1.
        seed: another seed, another split.

    Returns:
        (training, held out).
    """
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        digest = hashlib.sha256(f"{seed}:{sample.patient}".encode()).digest()
        sides[int.from_bytes(digest[:8]) / 2**64 < held_out].append(sample)
    return sides


def fingerprint(samples: Iterable[Sample]) -> str:
    """SHA-256 over the names and contents of all files: which data a model was trained on."""
    total = hashlib.sha256()
    for sample in samples:
        total.update(f"{sample.path.parent.name}/{sample.path.name}\n".encode())
        total.update(hashlib.sha256(sample.path.read_bytes()).digest())
    return total.hexdigest()
