"""The service's API over HTTP. Requests are repeated while the service is unavailable."""

from __future__ import annotations

import contextlib
import email.utils
import itertools
import random
import ssl
import time
from collections.abc import Iterator
from typing import IO, Any, Callable

import httpx

from pneumoqueue import __version__
from pneumoqueue.errors import ClientError, NotSignedIn, Refused, Unreachable

#: How long to repeat a request that the server cannot answer, in seconds.
PATIENCE = 120.0
#: The longest pause between two attempts that the server does not ask for.
LONGEST_PAUSE = 30.0
#: Statuses after which a retry may succeed: a proxy without its server, a storage that does not answer.
PASSING = (502, 503, 504)
#: The server holds an answer to ``?wait=`` for a minute, and stores a large ZIP in some.
TIMEOUT = httpx.Timeout(30, read=600)
IMAGES, STUDIES = "/api/v1/images/", "/api/v1/studies/"
TOKEN = "/api/v1/auth/token/"  # noqa: S105  # an address

Fields = dict[str, Any]
#: Makes the files of a form, again for each attempt.
MakeFiles = Callable[[], list[tuple[str, tuple[str, Any]]]]


class Server:
    """A connection to a server, with one user's token.

    Args:
        url: without a slash at the end.
        token: an API token, or nothing.
        patience: seconds for which a request is repeated.
        notify: is called with the reason when a request takes longer.
        transport: in place of the network, for tests.
        sleep: in place of ``time.sleep``, for tests.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        patience: float = PATIENCE,
        notify: Callable[[str], None] = lambda text: None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"User-Agent": f"pneumoqueue/{__version__}"}
        if token:
            headers["Authorization"] = f"Token {token}"
        self.url = url
        self.patience = patience
        self._notify, self._sleep = notify, sleep
        verify = _certificates() if transport is None else True
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT, verify=verify, transport=transport)

    def get(self, path: str, **parameters: Any) -> Any:
        return self._request("GET", path, params=parameters or None).json()

    def find(self, path: str) -> Any:
        """The resource, or None if it does not exist or the user may not see it."""
        try:
            return self.get(path)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def post(self, path: str, fields: Fields | None = None, files: MakeFiles | None = None, *, key: str = "") -> Any:
        """Send a form, or JSON where there are no files.

        Args:
            fields: of the form.
            files: makes its files.
            key: the idempotency key, under which the server handles a repeated request only once.
        """
        headers = {"Idempotency-Key": key} if key else {}
        if files is None:
            return self._request("POST", path, json=fields, headers=headers).json()
        return self._request("POST", path, data=fields, headers=headers, make_files=files).json()

    def delete(self, path: str) -> None:
        self._request("DELETE", path)

    def pages(self, path: str, **parameters: Any) -> Iterator[Any]:
        """Every entry of a list."""
        page = self.get(path, **parameters)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            # Use only the path of the link: the token must go to this server, whatever name it gives itself.
            page = self._request("GET", httpx.URL(page["next"]).raw_path.decode("ascii")).json()

    def download(self, path: str, into: IO[bytes]) -> None:
        """Write what an address answers to a file, from its beginning."""

        def fetch() -> httpx.Response:
            into.seek(0)
            into.truncate()
            with self._http.stream("GET", path) as answer:
                if answer.is_success:
                    for chunk in answer.iter_bytes():
                        into.write(chunk)
                else:
                    answer.read()
            return answer

        self._patiently(fetch)

    def _request(self, method: str, path: str, *, make_files: MakeFiles | None = None, **given: Any) -> httpx.Response:
        def attempt() -> httpx.Response:
            files = make_files() if make_files else None
            return self._http.request(method, path, files=files, **given)

        return self._patiently(attempt)

    def _patiently(self, attempt: Callable[[], httpx.Response]) -> httpx.Response:
        """Try until there is an answer that stands.

        Raises:
            Refused: the server refuses the request.
            NotSignedIn: it does not know who asks.
            Unreachable: it could not answer for as long as the patience lasts.
        """
        waited = 0.0
        for number in itertools.count():
            pause = random.uniform(0.5, 1) * min(LONGEST_PAUSE, 0.5 * 2**number)
            error: ClientError
            try:
                answer = attempt()
            except httpx.TransportError as failure:
                error = Unreachable(f"{self.url} cannot be reached: {str(failure) or type(failure).__name__}.")
            else:
                after = _retry_after(answer)
                if answer.status_code not in PASSING and not (answer.status_code == 429 and after is not None):
                    return _checked(answer)
                problem = _problem(answer)
                error = Unreachable(str(problem))
                pause = pause if after is None else max(after, pause)
            if waited + pause > self.patience:
                raise error
            self._notify(f"{error} Trying again in {pause:.0f} s.")
            self._sleep(pause)
            waited += pause
        raise AssertionError("unreachable")


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    if answer.is_redirect:
        raise Unreachable(f"The server is at another address: {answer.headers.get('location')}. Please sign in there.")
    problem = _problem(answer)
    if answer.status_code == 401:
        raise NotSignedIn(str(problem))
    raise problem


def _problem(answer: httpx.Response) -> Refused:
    """The message of an error, or nothing if a proxy sent it in another format."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        document = answer.json()
        return Refused(answer.status_code, document["code"], document["detail"], document.get("errors"))
    return Refused(answer.status_code, f"http_{answer.status_code}", f"The server answered {answer.reason_phrase}.")


def _retry_after(answer: httpx.Response) -> float | None:
    """The seconds of the header ``Retry-After``, which may be a date."""
    text = answer.headers.get("retry-after", "")
    with contextlib.suppress(ValueError):
        return max(0.0, float(text))
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _certificates() -> ssl.SSLContext:
    """Whom to trust: what this machine trusts, a hospital's own authority among it, and the usual ones."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context
