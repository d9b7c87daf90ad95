"""The certificate that the service uses if other machines can reach it."""

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
    config = Config(data_dir=tmp_path, host="0.0.0.0", port=8123, flower_port=5123)
    config.secrets_dir.mkdir()
    return config


def read(config: Config) -> x509.Certificate:
    return x509.load_pem_x509_certificate(config.certificate_file.read_bytes())


def days_later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    later = certificates._now() + datetime.timedelta(days=days)
    monkeypatch.setattr(certificates, "_now", lambda: later)


def test_a_certificate_has_every_name_and_is_readable_only_by_its_owner(config: Config) -> None:
    assert certificates.prepare(config, NAMES)
    names = read(config).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["ward3", "ward3.local", "*.clinic.example", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.168.7.1", "2001:db8::7"]
    assert not read(config).extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for file in (config.certificate_file, config.key_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.parent == config.secrets_dir


def test_a_certificate_is_renewed_if_it_expires_soon_or_lacks_a_name(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.mark.parametrize("filename", ["tls.key", "tls.crt"])
def test_a_damaged_file_is_replaced(config: Config, filename: str) -> None:
    certificates.prepare(config, NAMES)
    (config.secrets_dir / filename).write_text("-----BEGIN")
    assert certificates.prepare(config, NAMES)
    certificates.prepare(replace(config, certificate=config.certificate_file, certificate_key=config.key_file), [])


def with_hospitals_certificate(config: Config, folder: Path) -> Config:
    """A configuration with a hospital's own certificate and key, in files elsewhere."""
    certificates.prepare(config, ["xray.hospital.example"])
    certificate, key = folder / "hospital.crt", folder / "hospital.key"
    certificate.write_bytes(config.certificate_file.read_bytes())
    key.write_bytes(config.key_file.read_bytes())
    return replace(config, certificate=certificate, certificate_key=key)


def test_the_hospitals_own_certificate_is_left_unchanged(config: Config, tmp_path: Path) -> None:
    hospital_config = with_hospitals_certificate(config, tmp_path)
    before = hospital_config.certificate_file.read_bytes()
    assert not certificates.prepare(hospital_config, NAMES)
    assert hospital_config.certificate_file.read_bytes() == before


def test_a_key_of_another_certificate_is_refused_in_one_sentence(config: Config, tmp_path: Path) -> None:
    hospital_config = with_hospitals_certificate(config, tmp_path)
    config.key_file.unlink()
    certificates.prepare(config, NAMES)
    for key in (config.key_file, tmp_path / "missing.key", hospital_config.certificate_file):
        with pytest.raises(ResourceError, match=r"^CERTIFICATE=.* and CERTIFICATE_KEY=.* cannot be used \(.*PEM files"):
            certificates.prepare(replace(hospital_config, certificate_key=key), NAMES)


def test_a_key_with_a_passphrase_is_refused(config: Config, tmp_path: Path) -> None:
    hospital_config = with_hospitals_certificate(config, tmp_path)
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", config.key_file, "-out", locked, "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ResourceError, match="its key without a passphrase"):
        certificates.prepare(replace(hospital_config, certificate_key=locked), NAMES)


# --- when TLS is used -----------------------------------------------------------------------------------------------


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
def test_other_machines_get_pages_only_over_tls(environ: dict[str, str], url: str) -> None:
    assert configuration.read(environ).url == url


@pytest.mark.parametrize("name", ["CERTIFICATE", "CERTIFICATE_KEY"])
def test_a_certificate_without_its_key_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="CERTIFICATE and CERTIFICATE_KEY belong together"):
        configuration.read({name: "/etc/ssl/xray.pem"})


def test_a_start_with_a_bad_certificate_fails_with_one_sentence(tmp_path: Path) -> None:
    completed = subprocess.run(
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
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert "No such file" in completed.stderr
    assert not (tmp_path / "data" / "db.sqlite3").exists()
