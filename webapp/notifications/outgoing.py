"""Send requests to URLs that users have entered: only to allowed addresses, with a time limit, without redirects."""

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
    """A receiver's response: its status and the beginning of its body."""

    status: int
    body: bytes = b""


def ask(
    method: str, url: str, headers: Mapping[str, str], content: bytes = b"", *, seconds: float, most: int = 0
) -> Answer:
    """Send a request.

    Args:
        method: the HTTP method.
        url: a URL that :func:`webapp.notifications.addresses.check_url` has accepted.
        headers: all headers except Host.
        content: the body.
        seconds: time limit for everything: resolving the name, the connection and the response.
        most: largest number of bytes of the response's body to read.

    Raises:
        NotDeliveredError: there is no response.
    """
    try:
        return asyncio.run(_ask(method, httpx.URL(url), headers, content, seconds, most))
    except addresses.ForbiddenAddressError:
        reason = "the receiver's name stands for no address that is allowed; see WEBHOOK_ALLOWED_NETWORKS"
    except TimeoutError:
        reason = f"no answer within {seconds} seconds"
    # Python raises UnicodeError for a name that cannot be resolved, such as one with an empty part.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        reason = f"the receiver cannot be reached ({type(error).__name__})"
    raise NotDeliveredError(reason, unreachable=True)


async def _ask(
    method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes, seconds: float, most: int
) -> Answer:
    """Send to an address that was checked. The name is resolved only once, so it cannot change after the check."""
    # The client's own time limits apply to each read, so a slow receiver could take forever.
    async with asyncio.timeout(seconds):
        plain = url.scheme == "http"
        hosts = await addresses.resolve(url.host, url.port or (80 if plain else 443), plain=plain)
        # Do not use the environment's proxy, which would resolve the name again.
        async with httpx.AsyncClient(verify=_tls(), trust_env=False, timeout=seconds) as client:
            for host in hosts:
                request = client.build_request(
                    method,
                    url.copy_with(host=host),
                    content=content,
                    # A compressed body could be far larger than the bytes that are read.
                    headers={**headers, "Host": url.netloc.decode(), "Accept-Encoding": "identity"},
                    # The certificate must match the name, not the address.
                    extensions={"sni_hostname": url.host},
                )
                try:
                    response = await client.send(request, stream=True, follow_redirects=False)
                except httpx.ConnectError:
                    if host == hosts[-1]:
                        raise
                    continue
                try:
                    return Answer(response.status_code, await _beginning(response, most))
                finally:
                    await response.aclose()
    raise AssertionError("resolve() gives an address or raises")


async def _beginning(response: httpx.Response, max_bytes: int) -> bytes:
    body = b""
    if max_bytes:
        async for block in response.aiter_raw():
            body += block
            if len(body) >= max_bytes:
                break
    return body[:max_bytes]


@cache
def _tls() -> SSLContext:
    """TLS settings with certifi's certificates, or those of the file ``SSL_CERT_FILE``, such as a hospital's own."""
    return httpx.create_ssl_context()
