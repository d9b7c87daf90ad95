"""Multipart forms, valid, odd and damaged, and the checks of the response to each."""

import random
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests import synthetic
from tests.fuzz.mutations import mutated

BOUNDARY = b"xBoundaryx"
TOKENS = (
    b"\r\n", b"\n", b"--", b"\r\n--" + BOUNDARY, b"\r\n--" + BOUNDARY + b"--\r\n", b'filename="',
    b"filename*=utf-8''a.jpg", b"Content-Disposition: form-data; ", b"name=", b'"', b";", b"\0",
    b"Content-Transfer-Encoding: base64\r\n", b"\r\n\r\n",
)  # fmt: skip
FILE_NAMES = (
    b"a.jpg", b"b.png", b"notes.txt", b"", b"Thumbs.db", b".DS_Store", b"Icon", "Größe.jpg".encode(),
    "Größe.jpg".encode("latin-1"), "レントゲン.jpg".encode("cp932"), b"..\\..\\c.jpg", b"/etc/d.jpg",
    b"x" * 300 + b".jpg",
    b"a\\\"b.jpg", b"a%22b.jpg", "photo\u202egpj.exe".encode(), b"\xff\xfe.jpg", b"e;f.jpg", b".", b"..",
)  # fmt: skip
TYPE = b"multipart/form-data; boundary=" + BOUNDARY
TYPES = (
    TYPE.replace(BOUNDARY, b'"xBoundaryx"'), TYPE + b"\xff", TYPE[:-10], b"multipart/form-data", b"", b";", b"*/*",
    TYPE.replace(b"multipart/form-data; boundary", b"MULTIPART/Form-Data ;BOUNDARY"), TYPE + b"x" * 300,
    TYPE + b"; charset=utf-16", TYPE + b"; charset=hex", TYPE + b"; x*=unheard-of''y", TYPE + b"; boundary=y",
    b"application/json; charset=hex", b"application/x-www-form-urlencoded", b"multipart/mixed; boundary=" + BOUNDARY,
)  # fmt: skip
#: A quoted string, even if it looks like another parameter.
QUOTED = re.compile(rb'"(?:\\.|[^"\\])*"')
#: Character sets of fields, some of which decode to no text or raise errors of their own.
CHARSETS = (
    b"utf-8", b"latin-1", b"shift_jis", b"utf-7", b"utf-16", b"undefined", b"idna", b"punycode", b"hex", b"a\0b",
    b"nonsense", b"unicode_escape", b"",
)  # fmt: skip
PATHS = {"/api/v1/images/": b"file", "/api/v1/studies/": b"files", "/upload/": b"files"}
FIELDS = {
    b"patient": (b"P-1", b"+2AA-\\ud800", "Mu\u0308ller".encode(), b"\xff", b"x" * 200, b"a\0b"),
    b"name": (b"ward 3", b"", b"y" * 300),
    b"priority": (b"bulk", b"never"),
    b"department": (b"", b"icu"),
    b"other": (b"1",),
}


@dataclass(frozen=True)
class Form:
    """A form.

    Attributes:
        path: URL path that the form is sent to.
        content_type: Content-Type header of the request.
        body: body of the request.
    """

    path: str
    content_type: bytes
    body: bytes

    def files(self) -> int:
        """Number of parts that declare a file. A part without a name and without bytes is no file."""
        parts = (b"\r\n" + self.body).split(b"\r\n--" + BOUNDARY)[1:]
        whole = [part.partition(b"\r\n\r\n") for part in parts if part.startswith(b"\r\n")]
        return sum(
            bool(re.search(rb";\s*filename\*?\s*=", QUOTED.sub(b'""', head), re.IGNORECASE))
            and (b'filename=""' not in head or bool(content))
            for head, _, content in whole
        )


@cache
def contents() -> tuple[bytes, ...]:
    jpeg = synthetic.xray_jpeg(0, (64, 64))
    return (
        jpeg,
        jpeg,
        synthetic.xray_png(0, (64, 64)),
        b"",
        b"text",
        b"PK\x03\x04 none",
        synthetic.zip_of({"a.jpg": jpeg}),
    )


def case(number: int) -> Form:
    """The form of a case."""
    draw = random.Random(f"form {number}")
    path = draw.choice(tuple(PATHS))
    # The endpoint of images takes a single file, the others take several.
    files = draw.choice((1, 1, 1, 1, 0, 2) if path == "/api/v1/images/" else (0, 1, 2, 3, 5))
    parts = [_file(draw, PATHS[path]) for _ in range(files)]
    parts += [_field(draw, name) for name in draw.sample(sorted(FIELDS), draw.choice((0, 0, 0, 1, 2)))]
    draw.shuffle(parts)
    body = b"".join(b"--" + BOUNDARY + b"\r\n" + part + b"\r\n" for part in parts)
    body += b"--" + BOUNDARY + (b"--\r\n" if draw.random() < 0.9 else draw.choice((b"", b"\r\n", b"--")))
    kind = draw.choice(TYPES) if draw.random() < 0.1 else TYPE
    return Form(path, kind, mutated(body, draw, TOKENS) if draw.random() < 0.5 else body)


def _file(draw: random.Random, field: bytes) -> bytes:
    name = field if draw.random() < 0.95 else draw.choice((b"file", b"files", b"image", b""))
    head = b'Content-Disposition: form-data; name="%b"; filename="%b"\r\n' % (name, draw.choice(FILE_NAMES))
    if draw.random() < 0.3:
        head += b"Content-Type: image/jpeg\r\n"
    elif draw.random() < 0.05:
        head += draw.choice((b"Content-Type: multipart/mixed; boundary=y\r\n", b"X: y\r\n", b"Content-Length: 7\r\n"))
    return head + b"\r\n" + draw.choice(contents())


def _field(draw: random.Random, name: bytes) -> bytes:
    head = b'Content-Disposition: form-data; name="%b"\r\n' % name
    if draw.random() < 0.2:
        head += b"Content-Type: text/plain; charset=%b\r\n" % draw.choice(CHARSETS)
    return head + b"\r\n" + draw.choice(FIELDS[name])


def check(form: Form, status: int, response: Any) -> str:
    """Assert that a form is accepted with all its files or refused with a code.

    Args:
        form: the form that was sent.
        status: status of the response.
        response: its JSON; None for a page.

    Returns:
        The outcome: a code, or the status.
    """
    assert status < 500, (status, response)
    if status == 202:
        accepted = response["total"] + len(response.get("skipped", ())) if "total" in response else 1
        assert accepted >= form.files(), (accepted, form.files(), response)
        return "202"
    if response is None:
        return str(status)
    assert response["code"], response
    assert len(response["detail"]) > 10, response
    assert response["status"] == status
    return str(response["code"])
