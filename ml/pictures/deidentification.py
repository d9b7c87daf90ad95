"""Copy the DICOM files of a folder to another folder, without data that identifies their patients."""

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
    """How files are cleaned, and whether the remaining pixels are searched for text."""

    key: bytes
    options: Options
    find_text: bool = False


def deidentify_folder(
    source: Path, target: Path, key_file: Path, options: Options, *, find_text: bool = False, report: Path | None = None
) -> int:
    """Clean each file of a folder and its subfolders. Files that an earlier run has written are not written again.

    A file gets its final name only when it is complete.

    Args:
        source: the folder with files of any kind; it is not changed.
        target: a folder outside of the source. Each patient's files are written to a folder named by the patient's
            pseudonym.
        key_file: the secret from which pseudonyms are made; created if it does not exist. Anyone who has it can check a
            guessed name.
        options: which data are kept.
        find_text: whether the pixels are searched for text.
        report: a file that gets a line of JSON for each source file, with the original file name.

    Returns:
        The exit status: 1 if a file was left out, otherwise 0.

    Raises:
        ValueError: the target lies within the source, or the key is too short.
        FileNotFoundError: the source does not exist.
    """
    if target.resolve().is_relative_to(source.resolve()):
        raise ValueError("the files must be written to a folder outside of the one that is read")
    if not source.is_dir():
        raise FileNotFoundError(f"there is no folder {source}")
    task = Task(_key(key_file), options, find_text)
    counts: dict[str, int] = {}
    with Child() as child, report.open("w") if report else Path(os.devnull).open("w") as lines:
        for file in sorted(file for file in source.rglob("*") if file.is_file()):
            row = {"file": file, **_clean_file(child, file, target, task)}
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


def _clean_file(child: Child, file: Path, target: Path, task: Task) -> dict[str, Any]:
    try:
        return child.run(write_cleaned, file, target, task)
    except (NotCleanedError, ImageError) as error:
        return {"outcome": "left out", "code": error.code, "detail": error.detail}


def write_cleaned(file: Path, target: Path, task: Task) -> dict[str, Any]:
    """Write the cleaned copy of a file, unless it exists already.

    Raises:
        NotCleanedError: the file is left out.
        ImageError: the pixels cannot be decoded.
    """
    with file.open("rb") as stream:
        if not dicom.is_dicom(stream.read(HEAD)):
            raise NotCleanedError("not_dicom", "This is no DICOM file.")
        stream.seek(0)
        dataset = files.read(stream)
    path = _output_path(dataset, target, task.key)
    if path.exists():
        return {"outcome": "there already", "output": str(path.relative_to(target))}
    cleaning.clean(dataset, task.key, task.options, decompress)
    written = io.BytesIO()
    files.write(dataset, written)
    _write_whole(path, written.getvalue())
    text = {"text": _find_text(written.getvalue())} if task.find_text else {}
    return {"outcome": "written", "output": str(path.relative_to(target)), **text}


def _output_path(dataset: Dataset, target: Path, key: bytes) -> Path:
    """Path of the cleaned file, made of the pseudonym of its patient and its new UID."""
    patient = cleaning.patient_name(dataset, key)
    return target / patient / f"{cleaning.new_uid(key, str(dataset.get('SOPInstanceUID')))}.dcm"


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _find_text(content: bytes) -> list[dict[str, Any]]:
    from ml.pictures import text  # late: only this function needs Tesseract

    pixels = dicom.read(content).pixels
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels.values))
    return text.find(picture)


def decompress(dataset: Dataset) -> None:
    """Replace the compressed samples of a grey image by uncompressed ones.

    Raises:
        ImageError: the samples cannot be decoded.
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
