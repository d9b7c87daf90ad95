"""DICOM files of a folder, written to another one without what identifies their patients."""

import io
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from deidentify import cleaning, files
from deidentify.child import Child
from deidentify.cleaning import Options
from deidentify.errors import NotCleanedError
from ml.errors import ImageError
from ml.pictures import dicom
from ml.pictures.dicom import frames
from ml.pictures.dicom.files import HEAD

KEY_BYTES = 32


@dataclass(frozen=True)
class Task:
    """How files are cleaned, and whether text is looked for in what is left."""

    key: bytes
    options: Options
    find_text: bool = False


def deidentify_folder(
    source: Path, target: Path, key_file: Path, options: Options, *, find_text: bool = False, report: Path | None = None
) -> int:
    """Clean each file of a folder and its folders. Files that were written before are not written again.

    A file appears under its name only when it is whole.

    Args:
        source: the folder with files of any kind; it is not changed.
        target: a folder outside of it. A patient's files are in a folder with the name that stands for theirs.
        key_file: the secret by which names are made; written where there is none. Whoever has it can check a guess.
        options: what is kept.
        find_text: whether text is looked for in the pixels.
        report: where a line of JSON for each file goes too. It names the files as they were.

    Returns:
        The exit status: 1 where a file was left out.

    Raises:
        ValueError: the target lies within the source.
    """
    if target.resolve().is_relative_to(source.resolve()):
        raise ValueError("the files must be written to a folder outside of the one that is read")
    if not source.is_dir():
        raise FileNotFoundError(f"there is no folder {source}")
    task = Task(_key(key_file), options, find_text)
    counts: dict[str, int] = {}
    with Child() as child, report.open("w") if report else Path(os.devnull).open("w") as lines:
        for file in sorted(file for file in source.rglob("*") if file.is_file()):
            row = {"file": file, **_one(child, file, target, task)}
            counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
            lines.write(json.dumps({**row, "file": str(row["file"].relative_to(source))}) + "\n")
            if row["outcome"] == "left out":
                print(f"{row['file']}: {row['detail']}")
            elif row.get("text"):
                print(f"{row['file']}: {len(row['text'])} places that look like text")
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no files")
    return int("left out" in counts)


def _key(file: Path) -> bytes:
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_hex(KEY_BYTES))
    key = file.read_text().strip().encode()
    if len(key) < KEY_BYTES:
        raise ValueError(f"{file} is no key: it has fewer than {KEY_BYTES} characters")
    return key


def _one(child: Child, file: Path, target: Path, task: Task) -> dict[str, Any]:
    try:
        return child.run(write_cleaned, file, target, task)
    except (NotCleanedError, ImageError) as error:
        return {"outcome": "left out", "code": error.code, "detail": error.detail}


def write_cleaned(file: Path, target: Path, task: Task) -> dict[str, Any]:
    """Write a file to where it belongs, unless it is there.

    Raises:
        NotCleanedError: it is left out.
        ImageError: its pixels cannot be decoded.
    """
    with file.open("rb") as stream:
        if not dicom.is_dicom(stream.read(HEAD)):
            raise NotCleanedError("not_dicom", "This is no DICOM file.")
        stream.seek(0)
        dataset = files.read(stream)
    place = _place(dataset, target, task.key)
    if place.exists():
        return {"outcome": "there already", "output": str(place.relative_to(target))}
    cleaning.clean(dataset, task.key, task.options, decoded)
    written = io.BytesIO()
    files.write(dataset, written)
    _keep(place, written.getvalue())
    found = {"text": _text(written.getvalue())} if task.find_text else {}
    return {"outcome": "written", "output": str(place.relative_to(target)), **found}


def _place(dataset: Dataset, target: Path, key: bytes) -> Path:
    """Where a file goes, by the names that stand for its patient and itself."""
    patient = cleaning.patient_name(dataset, key)
    return target / patient / f"{cleaning.new_uid(key, str(dataset.get('SOPInstanceUID')))}.dcm"


def _keep(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(".part")
    unfinished.write_bytes(content)
    unfinished.replace(place)


def _text(content: bytes) -> list[dict[str, Any]]:
    from ml.pictures import text  # whose library only this needs

    pixels = dicom.read(content).pixels
    shown = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels.values))
    return text.find(shown)


def decoded(dataset: Dataset) -> None:
    """Put a grey image's uncompressed samples in place of compressed ones.

    Raises:
        ImageError: they cannot be decoded.
        NotCleanedError: ``pixels_compressed``: the image has colours or several frames.
    """
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    if dataset.get("SamplesPerPixel", 1) != 1 or int(dataset.get("NumberOfFrames") or 1) != 1:
        raise NotCleanedError("pixels_compressed", "Text in compressed colours or several frames is not blanked.")
    frame, layout = frames.read(dataset)
    kind = f"<{'i' if layout.signed else 'u'}{layout.allocated // 8}"
    dataset.PixelData = frame.values.astype(kind).tobytes()
    dataset.HighBit = layout.stored - 1
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
