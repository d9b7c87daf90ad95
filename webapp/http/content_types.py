"""Normalize the header Content-Type for Django, which requires media types in lower case."""

from email.utils import quote

from django.utils.http import parse_header_parameters

from webapp.refusals import Refused

FORM = "multipart/form-data"
#: Length of a boundary that Django accepts, in characters. RFC 2046 allows 70.
LONGEST_BOUNDARY = 200


def plain(header: bytes) -> bytes:
    """Return the header's value. A form keeps no parameter but its boundary.

    Raises:
        Refused: the boundary is too long, or the declared charset is not a character set.
    """
    try:
        kind, found = parse_header_parameters(header.decode("latin-1"))
    except ValueError as error:  # a parameter in an unknown character set
        raise _malformed() from error
    parameters = {name.lower(): value for name, value in found.items()}
    boundary = parameters.get("boundary", "")
    if len(boundary) > LONGEST_BOUNDARY:
        raise _malformed()
    if kind == FORM and boundary:
        return f'{FORM}; boundary="{quote(boundary)}"'.encode("latin-1", errors="replace")
    _check(parameters.get("charset", "utf-8"))
    return header


def _check(charset: str) -> None:
    """Refuse a charset that Python knows but cannot decode text with. Django ignores charsets that Python does not
    know.
    """
    try:
        b"a".decode(charset)
    except UnicodeDecodeError:  # a character set with more than one byte per character
        return
    except LookupError as error:
        if "not a text encoding" in str(error):
            raise _malformed() from error
    except ValueError as error:
        raise _malformed() from error


def _malformed() -> Refused:
    return Refused(
        "malformed_request",
        "The header Content-Type is not valid. A form's boundary may have up to 70 characters. Please send text in "
        "UTF-8.",
    )
