"""Check whether this container is healthy. HEALTH is an address that must answer, or a file that must be recent.

It uses only the standard library and no code of the service, since it runs every ten seconds in every container.
"""

import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

#: Seconds after which a file is stale; its writer renews it every five seconds.
MAX_AGE = 30.0


def problem(target: str) -> str | None:
    """Describe what is wrong; None if the container is healthy.

    Args:
        what: an ``http://`` address of this container, or the path of a file.
    """
    if target.startswith("http://"):
        # The address is this container's own, so the environment's proxy is not used.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(target, timeout=4):
                return None
        except (OSError, urllib.error.HTTPError) as error:
            return f"{target}: {error}"
    try:
        age = time.time() - Path(target).stat().st_mtime
    except FileNotFoundError:
        return f"{target} is not there: not ready yet, or no longer"
    return None if age < MAX_AGE else f"{target} was last renewed {age:.0f} s ago"


if __name__ == "__main__":
    if reason := problem(os.environ["HEALTH"]):
        sys.exit(reason)
