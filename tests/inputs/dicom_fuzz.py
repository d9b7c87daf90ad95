"""Damaged DICOM files: each is read or refused with a code, and its attributes always have the same keys.

``python -m tests.inputs.dicom_fuzz [--cases N] [--seed N]``. The number of a case determines its file.
"""

import collections
import random
import struct
from functools import cache

import numpy as np
from pydicom.dataset import Dataset

from ml.errors import ImageError
from ml.pictures import dicom
from tests import synthetic
from tests.dicom_files import LOSSLESS, LOSSY, coloured, made, stored
from tests.inputs import fuzz

#: Tags of the elements that determine how a file is read.
TAGS = (
    (0x0008, 0x0005), (0x0008, 0x0016), (0x0010, 0x0010), (0x0010, 0x1010), (0x0028, 0x0002), (0x0028, 0x0004),
    (0x0028, 0x0008), (0x0028, 0x0010), (0x0028, 0x0011), (0x0028, 0x0100), (0x0028, 0x0101), (0x0028, 0x0102),
    (0x0028, 0x0103), (0x0028, 0x1050), (0x0028, 0x1051), (0x0028, 0x1052), (0x0028, 0x3010), (0x7FE0, 0x0010),
)  # fmt: skip


@cache
def corpus() -> list[bytes]:
    """A small file of each transfer syntax, and files in grey, in colour and with lookup tables."""
    grey = np.asarray(synthetic.xray(1, (72, 66)))
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [256, 0, 16])
    table.add_new("LUTData", "OW", np.arange(0, 65536, 256, dtype="<u2").tobytes())
    basic = {
        "PatientID": "P-1", "PatientName": "Müller^Jürgen", "SpecificCharacterSet": "ISO_IR 100", "PatientAge": "004Y",
        "StudyDate": "20240301", "PatientBirthDate": "20200301", "WindowCenter": [128, 90], "WindowWidth": [256, 80],
        "BodyPartExamined": "CHEST", "ViewPosition": "PA", "SeriesNumber": 1,
    }  # fmt: skip
    files = [made(grey, syntax=syntax, bits=8, **basic) for syntax in (*LOSSLESS, *LOSSY) if "51" not in syntax[-2:]]
    files += [made(stored(grey, 12), syntax=syntax, bits=12, **basic) for syntax in (*LOSSLESS, LOSSY[1])]
    files += [made(coloured(grey, "RGB"), bits=8, photometric="RGB", **basic)]
    files += [made(stored(grey, 12), VOILUTSequence=[table], ModalityLUTSequence=[table], PixelPaddingValue=0, **basic)]
    edges = {"ShutterLeftVerticalEdge": 2, "ShutterRightVerticalEdge": 60, "ShutterUpperHorizontalEdge": 2}
    return [*files, made(stored(grey, 12), ShutterShape="RECTANGULAR", ShutterLowerHorizontalEdge=60, **edges, **basic)]


def case(number: int) -> bytes:
    """The file of a case. Every second one has an element with another representation, length, value or tag."""
    content = fuzz.case(number, corpus())
    rng = random.Random(-number)
    if number % 2:
        return content
    content = rng.choice(corpus())
    tag = struct.pack("<HH", *rng.choice(TAGS))
    at = content.find(tag)
    if at < 0:
        return fuzz.case(number, corpus())
    changed = bytearray(content)
    change = rng.randrange(4)
    if change == 0:
        changed[at + 4 : at + 6] = rng.choice((b"UN", b"XX", b"SQ", b"OB", b"FD", b"PN", b"\0\0", b"US", b"DS"))
    elif change == 1:
        changed[at + 6 : at + 8] = rng.choice((b"\0\0", b"\1\0", b"\xff\xff", b"\3\0", b"\x80\0"))
    elif change == 2:
        odd = rng.choice(fuzz.ODD)
        changed[at + 8 : at + 8 + len(odd)] = odd
    else:
        changed[at : at + 4] = struct.pack("<HH", *rng.choice(TAGS))
    return bytes(changed)


def check(content: bytes) -> str:
    """Return the outcome of a file, like :func:`tests.inputs.fuzz.check`."""
    if dicom.is_dicom(content):
        code, found = "", {}
        try:
            found = dicom.attributes_of(dicom.parse(content, pixels=False))
        except ImageError as error:
            code = error.code
        assert found.keys() == dicom.attributes_of(Dataset()).keys() or code == "image_corrupt", (code, found)
    return fuzz.check(content)


def run(numbers: range) -> collections.Counter[str]:
    """Count the outcomes of cases, like :func:`tests.inputs.fuzz.run`."""
    return fuzz.run(numbers, case, check)


if __name__ == "__main__":
    fuzz.main(run, 20_000)
