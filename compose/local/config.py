"""The folders and addresses of a local installation, read from the environment."""

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

#: Addresses that mean every interface of the machine, and the loopback address of each.
EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared with HOST; nothing is bound here)
ROOT = Path(__file__).resolve().parents[2]
#: The folder of logs, in DATA_DIR.
LOGS = "logs"
#: Characters that end a value in supervisord's configuration and cannot be escaped.
UNUSABLE = '"#;'


class ConfigError(Exception):
    """The environment has an invalid value; the message says what to change."""


@dataclass(frozen=True)
class Config:
    """A local installation.

    Attributes:
        data_dir: absolute folder of everything that is stored: database, images, Redis' file, secrets.
        host: address that the web pages and the API listen on.
        port: their TCP port.
        flower_port: TCP port of Flower.
        metrics_port: TCP port of the ingest worker's own metrics. The next ports are for the other workers, the
            infer worker first. None to show all metrics through the web process.
        dicom_port: TCP port that scanners send to by DICOM, at the same address as the pages; None for no listener.
        gpu_devices: the GPUs that get an infer worker each, by the numbers of nvidia-smi; empty for one infer worker.
        certificate: the hospital's own certificate, with its chain; None to make one if one is needed.
        certificate_key: the private key of that certificate.
    """

    data_dir: Path
    port: int
    flower_port: int
    host: str = "127.0.0.1"
    metrics_port: int | None = None
    dicom_port: int | None = None
    gpu_devices: tuple[int, ...] = ()
    certificate: Path | None = None
    certificate_key: Path | None = None

    @property
    def run_dir(self) -> Path:
        """The files of one run: locks and generated configuration."""
        return self.data_dir / "run"

    @property
    def logs_dir(self) -> Path:
        """One log for each program."""
        return self.data_dir / LOGS

    @property
    def redis_dir(self) -> Path:
        return self.data_dir / "redis"

    @property
    def media_dir(self) -> Path:
        return self.data_dir / "media"

    @property
    def incoming_dir(self) -> Path:
        """Temporary files, including uploads that are not complete yet."""
        return self.data_dir / "incoming"

    @property
    def secrets_dir(self) -> Path:
        return self.data_dir / "secrets"

    @property
    def secure(self) -> bool:
        """Whether pages are served with TLS: if other machines can reach them, or if a certificate is given."""
        return self.certificate is not None or not is_loopback(self.host)

    @property
    def certificate_file(self) -> Path:
        return self.certificate or self.secrets_dir / "tls.crt"

    @property
    def key_file(self) -> Path:
        return self.certificate_key or self.secrets_dir / "tls.key"

    @property
    def bind(self) -> str:
        """Address and port that the web server listens on."""
        return f"{in_url(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The URL of the service on this machine."""
        return self.url_at(in_url(EVERY_INTERFACE.get(self.host, self.host)))

    def url_at(self, name: str) -> str:
        """The URL of the service under a name of this machine."""
        return f"{'https' if self.secure else 'http'}://{name}:{self.port}"

    @property
    def flower_url(self) -> str:
        return f"http://127.0.0.1:{self.flower_port}"


def read(environ: Mapping[str, str] = os.environ) -> Config:
    """Read the installation that `environ` describes.

    Raises:
        ConfigError: a port is not a port number, two ports are equal, GPU_DEVICES is no list of numbers, a folder's
            name cannot be used, or a certificate is given without its key or a key without its certificate.
    """
    config = Config(
        data_dir=Path(environ.get("DATA_DIR") or ROOT / "var").expanduser().resolve(),
        host=environ.get("HOST") or "127.0.0.1",
        port=_port(environ, "PORT", 8000),
        flower_port=_port(environ, "FLOWER_PORT", 5555),
        metrics_port=_port(environ, "METRICS_PORT", 0) if environ.get("METRICS_PORT") else None,
        dicom_port=_port(environ, "DICOM_PORT", 0) if environ.get("DICOM_PORT") else None,
        gpu_devices=_gpus(environ.get("GPU_DEVICES") or ""),
        certificate=_file(environ, "CERTIFICATE"),
        certificate_key=_file(environ, "CERTIFICATE_KEY"),
    )
    if (config.certificate is None) != (config.certificate_key is None):
        raise ConfigError(
            "CERTIFICATE and CERTIFICATE_KEY belong together: name the PEM files of both, or neither; then a "
            "certificate is made where it is needed."
        )
    ports = {"PORT": config.port, "FLOWER_PORT": config.flower_port, "DICOM_PORT": config.dicom_port}
    for one, other in combinations(ports, 2):
        if ports[one] == ports[other]:
            raise ConfigError(f"{one} and {other} are both {ports[one]}; give them different numbers.")
    for setting, folder in (("DATA_DIR", config.data_dir), ("The folder of the program", ROOT)):
        if unusable := [character for character in str(folder) if character in UNUSABLE]:
            raise ConfigError(
                f"{setting} is {folder}; choose one without {' and '.join(dict.fromkeys(unusable))} in its path."
            )
    return config


def in_url(host: str) -> str:
    """The form of an address in a URL: IPv6 addresses get brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address `host`."""
    try:
        return ipaddress.ip_address(socket.getaddrinfo(host, None)[0][4][0]).is_loopback
    except OSError:  # not an address; the check of the port reports that
        return False


def _file(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]).expanduser().resolve() if environ.get(name) else None


def _gpus(text: str) -> tuple[int, ...]:
    numbers = [number.strip() for number in text.split(",")] if text else []
    gpus = tuple(int(number) for number in numbers if number.isascii() and number.isdigit())
    if len(set(gpus)) < len(numbers):
        raise ConfigError(
            f"GPU_DEVICES={text} is no list of GPUs; use the numbers of nvidia-smi with commas between them, such as "
            "0,1."
        )
    return gpus


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigError(f"{name}={text} is no port number; use one from 1 to 65535.")
    return int(text)
