"""An authenticator app."""

import base64
import hmac
import struct
import time


def code_of(secret: str, *, later: int = 0) -> str:
    """The code (RFC 6238) that the app shows for a secret now, or in `later` seconds."""
    counter = int(time.time() + later) // 30
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", counter), "sha1")
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"
