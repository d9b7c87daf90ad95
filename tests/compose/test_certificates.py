"""The certificate with which the pages are served beyond this machine."""

import datetime
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from compose.local import certificates, resources
from compose.local import config as configuration
from compose.local.config import Config, ConfigError
from compose.local.resources import ResourceError
from tests.service import ROOT

NAMES = ["ward3", "ward3.local", "192.168.7.1", "[2001:db8::7]", ".clinic.example", "*", "localhost"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = Config(data_dir=tmp_path, host="0.0.0.0", port=8123, flower_port=5123)
    made.secrets_dir.mkdir()
    return made


def read(config: Config) -> x509.Certificate:
    return x509.load_pem_x509_certificate(config.certificate_file.read_bytes())


def days_later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    later = certificates._now() + datetime.timedelta(days=days)
    monkeypatch.setattr(certificates, "_now", lambda: later)


def test_one_is_made_with_every_name_and_for_its_owner_only(config: Config) -> None:
    assert certificates.prepare(config, NAMES)
    names = read(config).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["ward3", "ward3.local", "*.clinic.example", "localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.168.7.1", "2001:db8::7"]
    assert not read(config).extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for file in (config.certificate_file, config.key_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.parent == config.secrets_dir


def test_it_stays_until_it_is_about_to_end_or_lacks_a_name(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates.prepare(config, NAMES)
    first, key = certificates.fingerprint(config.certificate_file), config.key_file.read_bytes()
    assert not certificates.prepare(config, NAMES[:2])
    assert certificates.prepare(config, [*NAMES, "192.168.7.2"])
    second = certificates.fingerprint(config.certificate_file)
    assert second != first
    days_later(monkeypatch, 700)
    assert not certificates.prepare(config, NAMES)
    assert not certificates.ends_soon(config.certificate_file)
    days_later(monkeypatch, 95)
    assert certificates.ends_soon(config.certificate_file)
    assert certificates.prepare(config, NAMES)
    assert certificates.fingerprint(config.certificate_file) != second
    assert config.key_file.read_bytes() == key


@pytest.mark.parametrize("lost", ["tls.key", "tls.crt"])
def test_a_lost_or_damaged_file_is_made_again(config: Config, lost: str) -> None:
    certificates.prepare(config, NAMES)
    (config.secrets_dir / lost).write_text("-----BEGIN")
    assert certificates.prepare(config, NAMES)
    certificates.prepare(replace(config, certificate=config.certificate_file, certificate_key=config.key_file), [])


def hospitals(config: Config, folder: Path) -> Config:
    """An installation with the certificate of a hospital, as files elsewhere."""
    certificates.prepare(config, ["xray.hospital.example"])
    certificate, key = folder / "hospital.crt", folder / "hospital.key"
    certificate.write_bytes(config.certificate_file.read_bytes())
    key.write_bytes(config.key_file.read_bytes())
    return replace(config, certificate=certificate, certificate_key=key)


def test_the_hospitals_own_is_used_as_it_is(config: Config, tmp_path: Path) -> None:
    used = hospitals(config, tmp_path)
    before = used.certificate_file.read_bytes()
    assert not certificates.prepare(used, NAMES)
    assert used.certificate_file.read_bytes() == before


def test_a_pair_that_does_not_belong_together_is_one_sentence(config: Config, tmp_path: Path) -> None:
    used = hospitals(config, tmp_path)
    config.key_file.unlink()
    certificates.prepare(config, NAMES)
    for key in (config.key_file, tmp_path / "missing.key", used.certificate_file):
        with pytest.raises(ResourceError, match=r"^CERTIFICATE=.* and CERTIFICATE_KEY=.* cannot be used \(.*PEM files"):
            certificates.prepare(replace(used, certificate_key=key), NAMES)


def test_a_key_with_a_passphrase_asks_nobody(config: Config, tmp_path: Path) -> None:
    used = hospitals(config, tmp_path)
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", config.key_file, "-out", locked, "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ResourceError, match="its key without a passphrase"):
        certificates.prepare(replace(used, certificate_key=locked), NAMES)


# --- where there is TLS ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"HOST": "localhost"}, "http://localhost:8000"),
        ({"HOST": "0.0.0.0"}, "https://127.0.0.1:8000"),
        ({"HOST": "192.0.2.7"}, "https://192.0.2.7:8000"),
        ({"CERTIFICATE": "/a.crt", "CERTIFICATE_KEY": "/a.key"}, "https://127.0.0.1:8000"),
    ],
)
def test_pages_leave_this_machine_with_tls_only(environ: dict[str, str], url: str) -> None:
    assert configuration.read(environ).url == url


@pytest.mark.parametrize("name", ["CERTIFICATE", "CERTIFICATE_KEY"])
def test_a_certificate_without_its_key_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="CERTIFICATE and CERTIFICATE_KEY belong together"):
        configuration.read({name: "/etc/ssl/xray.pem"})


def test_a_start_with_a_bad_certificate_ends_with_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "compose.local.run"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATA_DIR": str(tmp_path / "data"),
            "CERTIFICATE": str(tmp_path / "a"),
            "CERTIFICATE_KEY": str(tmp_path / "b"),
            "PORT": str(resources.free_port()),
            "FLOWER_PORT": str(resources.free_port()),
        },
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "No such file" in done.stderr
    assert not (tmp_path / "data" / "db.sqlite3").exists()
