"""What a file is, from its first bytes. Names and content types are only what a client claims."""

from typing import IO, Any

from django.conf import settings

from webapp.refusals import Refused
from webapp.studies.files import containers

SUFFIXES = {"jpeg": ".jpg", "png": ".png", "zip": ".zip", "dicom": ".dcm"}


def kind(file: IO[bytes] | Any) -> str | None:
    """``jpeg``, ``png``, ``zip``, ``dicom``, ``svg`` or None."""
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[128:132] == b"DICM":
        return "dicom"
    if b"<svg" in head.lower():
        return "svg"
    return None


def is_zip(file: Any) -> bool:
    return kind(file) == "zip"


def suffix(file: Any) -> str:
    return SUFFIXES.get(kind(file) or "", ".bin")


def size_refusal(size: int) -> Refused | None:
    """Why a file of this many bytes can be no image; None where it may be one."""
    if not size:
        return Refused("file_empty", "The file is empty. Please choose the image again.")
    if size > settings.MAX_IMAGE_BYTES:
        limit = settings.MAX_IMAGE_BYTES // 2**20
        return Refused("file_too_large", f"The file is larger than {limit} MB. Please export a smaller one.")
    return None


def refusal(file: Any) -> Refused | None:
    """Why a file cannot be an image, judged by its size and first bytes; None where it may be one."""
    if refused := size_refusal(file.size):
        return refused
    found = kind(file)
    if found in ("jpeg", "png"):
        return None
    if found == "svg":
        return Refused("svg_not_supported", "SVG is a drawing, not an X-ray. Please upload a JPEG or PNG.")
    if found == "dicom":
        return Refused("dicom_not_supported", "DICOM files are not read yet. Please export a JPEG or PNG.")
    if found == "zip":
        return Refused("archive_not_here", "A ZIP holds a study. Please send it to /api/v1/studies/.")
    file.seek(0)
    if archive := containers.name(file.read(512)):
        return Refused(
            "archive_not_supported", f"This is {archive}. Please send the X-rays themselves, or a ZIP of them."
        )
    return Refused("not_an_image", "This is not a JPEG or PNG image. Please export the X-ray as one of these.")


def check_image(file: Any) -> None:
    """Raise the refusal, if there is one."""
    problem = refusal(file)
    if problem:
        raise problem
