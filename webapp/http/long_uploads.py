"""Hand the long body of a resumable upload on in parts, so that each is on the disk before the next one comes."""

import re
from typing import Any

from django.conf import settings

PATH = r"/api/v1/uploads/[^/]+/?"
OFFSET, CHECKSUM, LENGTH = b"upload-offset", b"upload-checksum", b"content-length"


class LongUploads:
    """ASGI middleware that makes several requests of one that continues a resumable upload.

    A client may send gigabytes with one PATCH. Django gets it as one PATCH after another, each of ``PART_BYTES`` at
    most and at its own offset; the client gets the answer to the last one, or to the first that goes wrong. Where the
    client is cut off, what has come is a part too. A body with a checksum is left whole, since that is of all of it.
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
            answer: list[Any] = []

            async def keep(message: Any, answer: list[Any] = answer) -> None:
                answer.append(message)

            sent_before = body.taken
            await self.app(_at(scope, position), body.next_part(), keep)
            position += body.taken - sent_before
            if not answer or answer[0]["status"] != 204 or await body.is_at_its_end():
                break
        if not body.is_cut_off:
            for message in answer:
                await send(message)


class _Body:
    """A request's body on its way.

    Attributes:
        taken: bytes that were handed on.
        is_cut_off: whether the client has gone.
    """

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._rest = b""  # of the last message, which belongs to the next part
        self._more = True
        self.taken = 0
        self.is_cut_off = False

    def next_part(self) -> Any:
        """ASGI's ``receive`` for the next part."""
        left = settings.PART_BYTES

        async def receive() -> dict[str, Any]:
            nonlocal left
            if not left or self.is_cut_off:
                return {"type": "http.disconnect"}
            if not self._rest and self._more:
                await self._read()
            if self.is_cut_off and left == settings.PART_BYTES:
                return {"type": "http.disconnect"}
            part, self._rest = self._rest[:left], self._rest[left:]
            left -= len(part)
            self.taken += len(part)
            more = bool(left) and not self.is_cut_off and (self._more or bool(self._rest))
            left = left if more else 0
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
    """The request with another offset, and a body of unknown length."""
    kept = [header for header in scope["headers"] if header[0] not in (OFFSET, LENGTH, b"transfer-encoding")]
    own = [(OFFSET, str(offset).encode()), (b"transfer-encoding", b"chunked")]
    return {**scope, "headers": [*kept, *own]}
