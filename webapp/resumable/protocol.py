"""Parse and check the headers of tus 1.0.0."""

import base64
import binascii
import re
from typing import Any

from django.conf import settings
from rest_framework import serializers

from webapp.http.serializers import FlagField
from webapp.refusals import Refused
from webapp.studies.api.serializers.requests import AgeField, ViewField
from webapp.studies.files import names

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
PART_TYPE = "application/offset+octet-stream"
CHECKSUMS = ("sha1", "sha256", "md5")
LONGEST_METADATA = 4096
UNNAMED = "unnamed"


class MetadataSerializer(serializers.Serializer):
    """The known keys of an upload's metadata. Other keys are ignored, because each client has some of its own."""

    filename = serializers.CharField(required=False, max_length=1024, trim_whitespace=False)
    study = serializers.UUIDField(required=False)
    study_name = serializers.CharField(required=False, max_length=255, allow_blank=True)
    patient = serializers.CharField(required=False, max_length=128, allow_blank=True)
    comment = serializers.CharField(required=False, max_length=500, allow_blank=True)
    department = serializers.CharField(required=False, allow_blank=True)
    age = AgeField()
    view = ViewField()
    stat = FlagField(required=False, default=None)


def check_version(headers: Any) -> None:
    if headers.get("Tus-Resumable") != VERSION:
        raise Refused("tus_version_not_supported", f"Please send Tus-Resumable: {VERSION}, as tus {VERSION} has it.")


def length(headers: Any) -> int:
    """The length of the whole file, which has to be known in the first request."""
    number = _number(headers, "Upload-Length")
    if number > settings.MAX_STUDY_BYTES:
        most = settings.MAX_STUDY_BYTES / 2**20
        raise Refused("file_too_large", f"A file may have at most {most:.0f} MB here. Please send it in parts.")
    return number


def offset(headers: Any) -> int:
    return _number(headers, "Upload-Offset")


def _number(headers: Any, name: str) -> int:
    text = headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Refused("malformed_request", f"The header {name} must be a number of bytes.")
    return int(text)


def checksum(headers: Any) -> tuple[str, bytes] | None:
    """The algorithm and digest of a part; None if the request has no checksum."""
    if "Upload-Checksum" not in headers:
        return None
    name, _, encoded = headers["Upload-Checksum"].strip().partition(" ")
    if name not in CHECKSUMS:
        known = ", ".join(CHECKSUMS)
        raise Refused("malformed_request", f"Upload-Checksum must be one of {known}, followed by the digest in base64.")
    return name, _decoded(encoded.strip(), "Upload-Checksum")


def parse_metadata(metadata: str) -> dict[str, Any]:
    """Parse the header Upload-Metadata.

    Raises:
        Refused: ``malformed_request``.
        ValidationError: a value is invalid.
    """
    if len(metadata) > LONGEST_METADATA:
        raise Refused("malformed_request", f"Upload-Metadata may have at most {LONGEST_METADATA} characters.")
    values: dict[str, str] = {}
    for pair in metadata.split(",") if metadata.strip() else ():
        key, _, encoded = pair.strip().partition(" ")
        if not key or key in values:
            raise Refused("malformed_request", "Upload-Metadata has a key twice, or a value without one.")
        try:
            values[key] = _decoded(encoded.strip(), "Upload-Metadata").decode()
        except UnicodeDecodeError:
            raise Refused("malformed_request", f"The value of {key} in Upload-Metadata is not UTF-8.") from None
    serializer = MetadataSerializer(data=values)
    serializer.is_valid(raise_exception=True)
    parsed = {key: value for key, value in serializer.validated_data.items() if value is not None}
    if "study" in parsed:
        parsed["study"] = str(parsed["study"])
    return {**parsed, "filename": names.filename(parsed.get("filename") or UNNAMED)}


def _decoded(encoded: str, header: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("malformed_request", f"A value in {header} is not base64.") from None
