"""Hand-written tus requests that follow its specification."""

from base64 import b64encode
from typing import Any

UPLOADS = "/api/v1/uploads/"
PART = "application/offset+octet-stream"
VERSION = {"Tus-Resumable": "1.0.0"}
#: Headers of a request that begins an upload or sends its first part.
BEGINNING = {**VERSION, "Upload-Length": "9", "Upload-Offset": "0"}


def metadata(**values: str) -> str:
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())


def begin(client: Any, length: int, body: bytes = b"", headers: dict[str, str] | None = None, **values: str) -> Any:
    merged = {**VERSION, "Upload-Length": str(length), "Upload-Metadata": metadata(**values), **(headers or {})}
    return client.generic("POST", UPLOADS, body, PART, headers=merged)


def go_on(client: Any, url: str, offset: int, body: bytes, **headers: str) -> Any:
    return client.generic("PATCH", url, body, PART, headers={**VERSION, "Upload-Offset": str(offset), **headers})


def head(client: Any, url: str) -> Any:
    return client.head(url, headers=VERSION)
