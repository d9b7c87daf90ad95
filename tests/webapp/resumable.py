"""tus by hand, as its specification has it."""

from base64 import b64encode
from typing import Any

UPLOADS = "/api/v1/uploads/"
PART = "application/offset+octet-stream"
VERSION = {"Tus-Resumable": "1.0.0"}
#: Of a request that begins an upload, or sends its first part.
BEGINNING = {**VERSION, "Upload-Length": "9", "Upload-Offset": "0"}


def metadata(**said: str) -> str:
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in said.items())


def begin(client: Any, length: int, body: bytes = b"", headers: dict[str, str] | None = None, **said: str) -> Any:
    own = {**VERSION, "Upload-Length": str(length), "Upload-Metadata": metadata(**said), **(headers or {})}
    return client.generic("POST", UPLOADS, body, PART, headers=own)


def go_on(client: Any, url: str, offset: int, body: bytes, **headers: str) -> Any:
    return client.generic("PATCH", url, body, PART, headers={**VERSION, "Upload-Offset": str(offset), **headers})


def head(client: Any, url: str) -> Any:
    return client.head(url, headers=VERSION)
