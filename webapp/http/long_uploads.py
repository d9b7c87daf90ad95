"""Pass the long body of a resumable upload on in parts, so that each part is on disk before the next one arrives."""

import re
from typing import Any

from django.conf import settings

PATH = r"/api/v1/uploads/[^/]+/?"
OFFSET, CHECKSUM, LENGTH = b"upload-offset", b"upload-checksum", b"content-length"


class LongUploads:
    """ASGI middleware that splits a request that continues a resumable upload into several.

    A client may send gigabytes with one PATCH. Django gets it as a sequence of PATCH requests, each with its own offset
    and at most ``PART_BYTES``. The client gets the response to the last one, or to the first that fails. If the client
    disconnects, the bytes received so far form a part too. A body with a checksum is not split, because the checksum
    covers the whole body.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        offset = headers.get(OFFSET, b"")
        if scope["type"] != "http" or CHECKSUM in headers or not (
            scope["method"] in ("PATCH", "POST") and re.fullmatch(PATH, scope["path"]) and offset.isdigit()
        ):  # fmt: skip
            await self.app(scope, receive, send)
            return
        body, position = _Body(receive), int(offset)
        while True:
            messages: list[Any] = []

            async def collect(message: Any, messages: list[Any] = messages) -> None:
                messages.append(message)

            sent_before = body.passed_on
            await self.app(_at(scope, position), body.next_part(), collect)
            position += body.passed_on - sent_before
            if not messages or messages[0]["status"] != 204 or await body.is_at_its_end():
                break
        if not body.is_cut_off:
            for message in messages:
                await send(message)


class _Body:
    """A request's body while it is being received.

    Attributes:
        passed_on: number of bytes passed on to Django.
        is_cut_off: whether the client has disconnected.
    """

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._rest = b""  # the rest of the last message, which belongs to the next part
        self._more = True
        self.passed_on = 0
        self.is_cut_off = False

    def next_part(self) -> Any:
        """ASGI's ``receive`` for the next part."""
        remaining = settings.PART_BYTES

        async def receive() -> dict[str, Any]:
            nonlocal remaining
            if not remaining or self.is_cut_off:
                return {"type": "http.disconnect"}
            if not self._rest and self._more:
                await self._read()
            if self.is_cut_off and remaining == settings.PART_BYTES:
                return {"type": "http.disconnect"}
            part, self._rest = self._rest[:remaining], self._rest[remaining:]
            remaining -= len(part)
            self.passed_on += len(part)
            more = bool(remaining) and not self.is_cut_off and (self._more or bool(self._rest))
            remaining = remaining if more else 0
            return {"type": "http.request", "body": part, "more_body": more}

        return receive

    async def is_at_its_end(self) -> bool:
        while not self._rest and self._more:
            await self._read()
        return not self._rest

    async def _read(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_cut_off, self._more = True, False
        else:
            self._rest, self._more = message.get("body", b""), message.get("more_body", False)


def _at(scope: Any, offset: int) -> Any:
    """The request's scope with another offset and a body of unknown length."""
    kept = [header for header in scope["headers"] if header[0] not in (OFFSET, LENGTH, b"transfer-encoding")]
    own = [(OFFSET, str(offset).encode()), (b"transfer-encoding", b"chunked")]
    return {**scope, "headers": [*kept, *own]}
