"""Print on the terminal where the service is, how other machines reach it, and what to do next."""

import time
from collections.abc import Callable

from compose.local import certificates, ready, resources
from compose.local.config import EVERY_INTERFACE, Config, in_url, is_loopback


def when_ready(config: Config, watched: ready.Programs, stopped: Callable[[], bool]) -> None:
    """Wait until the service is ready, then print its address and what to do next."""
    if not ready.wait(f"{config.url}/readyz", watched.print_line, stopped) or not _listens(config, stopped):
        return
    watched.ready = True
    ready.notify("READY=1")
    watched.print_line(f"ready {config.url}")
    watched.print_line(
        f"Open {config.url} and drop an X-ray on the page; the user admin sees everything that was sent."
    )
    if config.secure:
        if not is_loopback(config.host):
            urls = [config.url_at(name) for name in names(config)]
            watched.print_line(f"From other machines: {' or '.join(urls[:3])}")
        _about_certificate(config, watched.print_line)
    if config.dicom_port:
        watched.print_line(f"Scanners and PACS send to port {config.dicom_port}, once an administrator has named them.")
    watched.print_line(f"What waits and what works on it: {config.url}/queue/")
    watched.print_line("Ctrl-C stops everything.")


def _listens(config: Config, stopped: Callable[[], bool]) -> bool:
    """Wait until the DICOM listener, if there is one, accepts connections; False if everything has stopped."""
    while config.dicom_port and not resources.is_taken(config.dicom_port, config.host):
        if stopped():
            return False
        time.sleep(ready.POLL_SECONDS)
    return True


def names(config: Config) -> list[str]:
    """The names and addresses by which other machines reach the service, best first."""
    if is_loopback(config.host):
        return []
    local = ("localhost", "localhost.localdomain", "[::1]")
    own_names = [name for name in resources.own_names() if name not in local and not name.startswith("127.")]
    return own_names if config.host in EVERY_INTERFACE else list(dict.fromkeys([in_url(config.host), *own_names]))


def _about_certificate(config: Config, print_line: Callable[[str], None]) -> None:
    file = config.certificate_file
    if not config.certificate:
        print_line(
            "Browsers warn of its certificate at the first visit. Compare the SHA-256 fingerprint that they show:"
        )
        print_line(f"  {certificates.fingerprint(file)}")
    elif certificates.ends_soon(file):
        print_line(f"The certificate {file} ends on {certificates.ends(file):%-d %B %Y}. Renew it.")
