"""The kind of a file, by its first bytes. File names and content types are not trusted, as clients choose them."""

import re
import struct
from typing import IO, Any

from django.conf import settings

from webapp.refusals import Refused
from webapp.studies.files import containers

#: Formats that the workers read, and the extensions that their files are stored with.
SUFFIXES = {
    "jpeg": ".jpg", "png": ".png", "tiff": ".tif", "bmp": ".bmp", "gif": ".gif", "webp": ".webp", "avif": ".avif",
    "heic": ".heic", "jpeg2000": ".jp2", "pdf": ".pdf", "zip": ".zip", "dicom": ".dcm",
}  # fmt: skip
IMAGES = frozenset(SUFFIXES) - {"zip"}
#: DICOM's value representations with a length of 16 bits, those with 32 bits, and the groups that data sets begin with.
SHORT = b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
GROUPS = (0x0002, 0x0008)
#: Kinds of files by their first bytes.
SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"PK00PK\x03\x04", "zip"),
    (b"GIF8", "gif"),
    (b"II*\0", "tiff"), (b"MM\0*", "tiff"), (b"II+\0", "tiff"), (b"MM\0+", "tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"), (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"BM", "bmp"),
)  # fmt: skip
#: Brands of ISO base media files that are pictures.
BRANDS = {b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"heim": "heic", b"heis": "heic",
          b"hevc": "heic", b"hevx": "heic", b"mif1": "heic"}  # fmt: skip
#: A signature after text that some programs write first, such as line ends, HTTP headers and printer commands. If other
#: bytes come first, they begin another kind of file, such as an archive, and the signature is only a part of it.
MISPLACED = re.compile(rb"(?:\xef\xbb\xbf)?[\t\r\n\x1b -~]*?(\x89PNG\r\n\x1a\n|%PDF-|\xff\xd8\xff[\xe0\xe1])")
NAMES = {b"\x89PNG\r\n\x1a\n": "png", b"%PDF-": "pdf"}
#: Pictures that are not read.
OTHER_PICTURES = (
    (b"\xff\x0a", "a JPEG XL picture"), (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"II\xbc\x01", "a JPEG XR picture"), (b"8BPS", "a Photoshop document"), (b"%!PS", "a PostScript document"),
    (b"v/1\x01", "an OpenEXR picture"), (b"#?RADIANCE", "a Radiance picture"), (b"qoif", "a QOI picture"),
    (b"\0\0\1\0", "a Windows icon"), (b"AT&TFORM", "a DjVu document"), (b"NRRD", "an NRRD volume"),
    (b"\x5c\x01\0\0", "a NIfTI volume"), (b"SIMPLE  =", "a FITS picture"), (b"P5", "a PGM picture"),
    (b"P6", "a PPM picture"), (b"P4", "a PBM picture"), (b"gimp xcf", "a GIMP picture"),
    (b"P2\n", "a PGM picture"), (b"P3\n", "a PPM picture"), (b"P1\n", "a PBM picture"), (b"P7\n", "a PAM picture"),
    (b"\x8aMNG", "an MNG animation"), (b"\x8bJNG", "a JNG picture"),
    (b"\x89HDF\r\n", "an HDF5 file"), (b"\x93NUMPY", "a NumPy array"), (b"MATLAB ", "a MATLAB file"),
    (b"ObjectType", "a MetaImage volume"), (b"Pf\n", "a PFM picture"), (b"PF\n", "a PFM picture"),
    (b"IIRO", "a camera's raw picture"), (b"IIU\0", "a camera's raw picture"), (b"icns", "a Mac icon"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"), (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"BPG\xfb", "a BPG picture"), (b"FLIF", "a FLIF picture"), (b"DDS ", "a DDS picture"),
    # Line ends that a transfer has changed, bytes that a program has converted as characters, and encodings as text.
    *((start, "a picture that was sent as text instead of bytes") for start in (
        b"\x89PNG\n\x1a\n", b"\x89PNG\r\r\n", b"\xef\xbf\xbdPNG", b"\xc2\x89PNG", b"\xef\xbf\xbd" * 3,
        b"\xc3\xbf\xc3\x98\xc3\xbf", b"data:image/", b"/9j/", b"iVBORw0KGgo",
        b"=89PNG", b"ffd8ff", b"FFD8FF", b"89504e47", b"89504E47", b"begin 644 ",
    )),
)  # fmt: skip
OTHERS = (
    (b"\xd0\xcf\x11\xe0", "an Office document"), (b"{\\rtf", "a text document"), (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"), (b"\x1aE\xdf\xa3", "a video"), (b"ID3", "a sound"), (b"OggS", "a sound"),
)  # fmt: skip


def kind(file: IO[bytes] | Any) -> str | None:
    """Return a file's kind: a key of :data:`SUFFIXES`, ``svg``, or None."""
    return _kind(_head(file))


def is_zip(file: Any) -> bool:
    return kind(file) == "zip"


def suffix(file: Any) -> str:
    return SUFFIXES.get(kind(file) or "", ".bin")


def size_refusal(size: int) -> Refused | None:
    """Return why a file of this many bytes cannot be an image; None if it may be one."""
    if not size:
        return Refused("file_empty", "The file is empty. Please choose the image again.")
    if size > settings.MAX_IMAGE_BYTES:
        limit = settings.MAX_IMAGE_BYTES // 2**20
        return Refused("file_too_large", f"The file is larger than {limit} MB. Please export a smaller one.")
    return None


def refusal(file: Any) -> Refused | None:
    """Return why a file cannot be an image, judging by its size and first bytes; None if it may be one."""
    if refused := size_refusal(file.size):
        return refused
    head = _head(file)
    detected = _kind(head)
    if detected in IMAGES:
        return None
    if detected == "svg":
        return Refused("svg_not_supported", "An An SVG is a drawing, not an X-ray. Please upload a JPEG, PNG or TIFF.")
    if detected == "zip":
        return Refused("archive_not_here", "A ZIP is a study. Please send it to /api/v1/studies/.")
    if archive := containers.name(head):
        return Refused(
            "archive_not_supported", f"This is {archive}. Please send the X-rays themselves, or a ZIP of them."
        )
    if name := _starting(head, OTHER_PICTURES):
        return Refused("format_not_supported", f"This is {name}, which is not supported. Please export a PNG or TIFF.")
    name = _starting(head, OTHERS) or _by_text(head)
    return Refused("not_an_image", f"This is {name}, not an X-ray. Please export the X-ray as JPEG, PNG or TIFF.")


def check_image(file: Any) -> None:
    """Raise a file's refusal, if there is one."""
    problem = refusal(file)
    if problem:
        raise problem


def _head(file: IO[bytes] | Any) -> bytes:
    file.seek(0)
    head: bytes = file.read(1024)
    file.seek(0)
    return head


def _kind(head: bytes) -> str | None:
    if is_dicom(head):
        return "dicom"
    if detected := _starting(head, SIGNATURES):
        return detected
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        length = max(16, int.from_bytes(head[:4]))
        brands = (head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4)))
        # Pictures of any kind have the brand mif1. An AVIF has its own brand as well.
        return min((BRANDS[brand] for brand in brands if brand in BRANDS), default=None)
    if b"<svg" in head.lower():
        return "svg"
    misplaced = MISPLACED.match(head)
    return NAMES.get(misplaced[1], "jpeg") if misplaced else None


def is_dicom(head: bytes) -> bool:
    """Whether a file begins like DICOM's file format (PS3.10 7.1), or like a data set without it.

    ``ml.pictures.dicom.files`` has the same function, because neither may import the other. A test compares the two.
    """
    return head[128:132] == b"DICM" or any(
        _begins(head, order, explicit) for order in "<>" for explicit in (True, False)
    )


def _begins(head: bytes, order: str, explicit: bool) -> bool:
    """Whether a file begins with two elements of these groups, in ascending order."""
    at = previous = 0
    for _ in range(2):
        if at + 12 > len(head):
            return False
        group, element = struct.unpack_from(f"{order}HH", head, at)
        tag, representation = group * 2**16 + element, head[at + 4 : at + 6]
        if group not in GROUPS or tag <= previous:
            return False
        previous = tag
        if not explicit:
            at += 8 + int(struct.unpack_from(f"{order}I", head, at + 4)[0])
        elif representation in LONG:
            at += 12 + int(struct.unpack_from(f"{order}I", head, at + 8)[0])
        elif representation in SHORT:
            at += 8 + int(struct.unpack_from(f"{order}H", head, at + 6)[0])
        else:
            return False
    return True


def _starting(head: bytes, signatures: tuple[tuple[bytes, str], ...]) -> str | None:
    return next((name for signature, name in signatures if head.startswith(signature)), None)


def _by_text(head: bytes) -> str:
    if head[4:8] == b"ftyp" or head[:4] == b"RIFF":
        return "a video or sound"
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "a text file" if head and b"\0" not in head and head.isascii() else "no picture that is known here"
