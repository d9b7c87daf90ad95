"""Say when the service is ready: `python -m compose.local.ready` waits for /readyz and prints the addresses once."""

import http.client
import time
import urllib.error
import urllib.request

from compose.local import config as configuration
from compose.local import resources

POLL_SECONDS = 0.5
REMIND_SECONDS = 30.0

# The address is this machine's own: no proxy of the environment is asked.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def probe(url: str) -> str | None:
    """None when `url` answers 200, else why not."""
    try:
        with _opener.open(url, timeout=5):
            return None
    except urllib.error.HTTPError as error:
        return error.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def wait(url: str) -> None:
    """Return when `url` answers 200; say now and then what is missing."""
    remind = time.monotonic() + REMIND_SECONDS
    while (reason := probe(url)) is not None:
        if time.monotonic() > remind:
            print(f"not ready yet: {reason}", flush=True)
            remind = time.monotonic() + REMIND_SECONDS
        time.sleep(POLL_SECONDS)


def main() -> None:
    config = configuration.read()
    wait(f"{config.url}/readyz")
    print(f"ready {config.url}", flush=True)
    password = resources.secret(config.secrets_dir / "flower")
    print(f"Flower {config.flower_url} user admin password {password}", flush=True)


if __name__ == "__main__":
    main()
