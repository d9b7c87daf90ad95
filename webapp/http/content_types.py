"""The header Content-Type as Django takes it, for which names of types have to be in small letters."""

from email.utils import quote

from django.utils.http import parse_header_parameters

from webapp.refusals import Refused

FORM = "multipart/form-data"
#: Characters that Django takes; RFC 2046 allows 70.
LONGEST_BOUNDARY = 200


def plain(header: bytes) -> bytes:
    """The type of a request: of a form without other parameters than its boundary.

    Raises:
        Refused: the boundary is too long, or the text is said to be in what is no character set.
    """
    try:
        kind, found = parse_header_parameters(header.decode("latin-1"))
    except ValueError as error:  # a parameter in a character set that is not known
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
    """Refuse what Python has under a name, and cannot decode text with. Of names that it does not have, Django takes
    no notice.
    """
    try:
        b"a".decode(charset)
    except UnicodeDecodeError:  # of a wider character set
        return
    except LookupError as error:
        if "not a text encoding" in str(error):
            raise _malformed() from error
    except ValueError as error:
        raise _malformed() from error


def _malformed() -> Refused:
    return Refused(
        "malformed_request",
        "The header Content-Type cannot be understood. A form's boundary may have 70 characters; text is best sent in "
        "UTF-8.",
    )
