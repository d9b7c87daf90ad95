"""Check whether this container is healthy, by HEALTH: an address that answers, or a file that is renewed.

Only the standard library, and nothing of the service: it runs every ten seconds in every container.
"""

import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

#: Seconds after which a file counts as stale; its writer renews it every five.
MAX_AGE = 30.0


def problem(what: str) -> str | None:
    """What is wrong, or None if the container is healthy.

    Args:
        what: an ``http://`` address of this container, or the path of a file.
    """
    if what.startswith("http://"):
        # The address is this container's own: no proxy of the environment is asked.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(what, timeout=4):
                return None
        except (OSError, urllib.error.HTTPError) as error:
            return f"{what}: {error}"
    try:
        age = time.time() - Path(what).stat().st_mtime
    except FileNotFoundError:
        return f"{what} is not there: not ready yet, or no longer"
    return None if age < MAX_AGE else f"{what} was last renewed {age:.0f} s ago"


if __name__ == "__main__":
    if reason := problem(os.environ["HEALTH"]):
        sys.exit(reason)
