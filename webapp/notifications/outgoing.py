"""Requests to addresses that users have named: only to those that they may name, within a time, without redirects."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext

import httpx

from webapp.notifications import addresses
from webapp.studies.outbox.services import NotDeliveredError


@dataclass(frozen=True)
class Answer:
    """A receiver's answer: its status, and the beginning of its body."""

    status: int
    body: bytes = b""


def ask(
    method: str, url: str, headers: Mapping[str, str], content: bytes = b"", *, seconds: float, most: int = 0
) -> Answer:
    """Send a request.

    Args:
        method: of HTTP.
        url: one that :func:`webapp.notifications.addresses.check_url` has taken.
        headers: beside Host.
        content: the body.
        seconds: for everything: the name's resolution, the connection, and the answer.
        most: bytes of the answer's body that are read.

    Raises:
        NotDeliveredError: there is no answer.
    """
    try:
        return asyncio.run(_ask(method, httpx.URL(url), headers, content, seconds, most))
    except addresses.ForbiddenAddressError:
        reason = "the receiver's name stands for no address that is allowed; see WEBHOOK_ALLOWED_NETWORKS"
    except TimeoutError:
        reason = f"no answer within {seconds} seconds"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        reason = f"the receiver cannot be reached ({type(error).__name__})"
    raise NotDeliveredError(reason, unreachable=True)


async def _ask(
    method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes, seconds: float, most: int
) -> Answer:
    """Ask an address that was looked at: the name is resolved once, and may not stand for another one meanwhile."""
    # Per read, as the client's own limits are, a receiver could go on for ever.
    async with asyncio.timeout(seconds):
        plain = url.scheme == "http"
        hosts = await addresses.resolve(url.host, url.port or (80 if plain else 443), plain=plain)
        # Without the environment's proxy, which would resolve the name again.
        async with httpx.AsyncClient(verify=_tls(), trust_env=False, timeout=seconds) as client:
            for host in hosts:
                request = client.build_request(
                    method,
                    url.copy_with(host=host),
                    content=content,
                    # A body that is packed could be far larger than what is read of it.
                    headers={**headers, "Host": url.netloc.decode(), "Accept-Encoding": "identity"},
                    # The certificate must be that of the name.
                    extensions={"sni_hostname": url.host},
                )
                try:
                    answer = await client.send(request, stream=True, follow_redirects=False)
                except httpx.ConnectError:
                    if host == hosts[-1]:
                        raise
                    continue
                try:
                    return Answer(answer.status_code, await _beginning(answer, most))
                finally:
                    await answer.aclose()
    raise AssertionError("resolve() gives an address or raises")


async def _beginning(answer: httpx.Response, most: int) -> bytes:
    body = b""
    if most:
        async for block in answer.aiter_raw():
            body += block
            if len(body) >= most:
                break
    return body[:most]


@cache
def _tls() -> SSLContext:
    """Certificates as certifi has them, or the file that ``SSL_CERT_FILE`` names, such as a hospital's own."""
    return httpx.create_ssl_context()
