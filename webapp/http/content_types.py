"""The header Content-Type as Django takes it, for which names of types have to be in small letters."""

from email.utils import quote

from django.utils.http import parse_header_parameters

FORM = "multipart/form-data"
#: Characters that Django takes; RFC 2046 allows 70.
LONGEST_BOUNDARY = 200


def plain(header: bytes) -> bytes:
    """The type of a request: of a form without other parameters than its boundary.

    Raises:
        ValueError: the boundary is too long, or the text is said to be in what is no character set.
    """
    kind, parameters = parse_header_parameters(header.decode("latin-1"))
    parameters = {name.lower(): value for name, value in parameters.items()}
    charset, boundary = parameters.get("charset", ""), parameters.get("boundary", "")
    if len(boundary) > LONGEST_BOUNDARY:
        raise ValueError("the boundary is too long")
    if kind == FORM and boundary:
        return f'{FORM}; boundary="{quote(boundary)}"'.encode("latin-1", errors="replace")
    if charset:
        _check(charset)
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
            raise ValueError(str(error)) from error
