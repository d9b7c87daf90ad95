"""Settings that the launcher reads from the environment."""

from pathlib import Path

import pytest

from compose.local import config as configuration
from compose.local.config import ROOT, ConfigError


def test_defaults() -> None:
    config = configuration.read({})
    assert config.data_dir == ROOT / "var"
    assert (config.port, config.flower_port) == (8000, 5555)
    assert (config.url, config.flower_url) == ("http://127.0.0.1:8000", "http://127.0.0.1:5555")


def test_empty_means_default() -> None:
    assert configuration.read({"DATA_DIR": "", "PORT": "", "FLOWER_PORT": ""}) == configuration.read({})


@pytest.mark.parametrize(
    ("host", "bind", "url"),
    [
        ("0.0.0.0", "0.0.0.0:81", "https://127.0.0.1:81"),
        ("::", "[::]:81", "https://[::1]:81"),
        ("192.0.2.7", "192.0.2.7:81", "https://192.0.2.7:81"),
        ("", "127.0.0.1:81", "http://127.0.0.1:81"),
    ],
)
def test_host_gives_the_address_to_bind_and_the_url_to_open(host: str, bind: str, url: str) -> None:
    config = configuration.read({"HOST": host, "PORT": "81"})
    assert (config.bind, config.url) == (bind, url)


def test_all_folders_are_in_the_data_folder(tmp_path: Path) -> None:
    config = configuration.read({"DATA_DIR": str(tmp_path / "here"), "PORT": "81", "FLOWER_PORT": "82"})
    assert (config.port, config.flower_port) == (81, 82)
    folders = (config.run_dir, config.logs_dir, config.redis_dir, config.media_dir, config.incoming_dir)
    for folder in (*folders, config.secrets_dir):
        assert folder.parent == tmp_path / "here"


def test_the_data_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert configuration.read({"DATA_DIR": "here"}).data_dir == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert configuration.read({"DATA_DIR": "~/there"}).data_dir == tmp_path / "there"


@pytest.mark.parametrize("name", ["PORT", "FLOWER_PORT"])
@pytest.mark.parametrize("text", ["0", "65536", "-1", "80.5", "http", "8000 ", "٨٠"])
def test_an_invalid_port_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}={text} is no port number"):
        configuration.read({name: text})


@pytest.mark.parametrize("text", ["1", "65535"])
def test_the_first_and_the_last_port_are_accepted(text: str) -> None:
    assert configuration.read({"PORT": text}).port == int(text)


def test_two_programs_cannot_have_the_same_port() -> None:
    with pytest.raises(ConfigError, match="PORT and FLOWER_PORT are both 5555"):
        configuration.read({"PORT": "5555"})
    with pytest.raises(ConfigError, match="FLOWER_PORT and DICOM_PORT are both 5555"):
        configuration.read({"DICOM_PORT": "5555"})


def test_the_dicom_port_is_optional() -> None:
    assert configuration.read({"DICOM_PORT": ""}).dicom_port is None
    assert configuration.read({"DICOM_PORT": "11112"}).dicom_port == 11112


def test_gpus_are_named_by_their_numbers() -> None:
    assert configuration.read({"GPU_DEVICES": ""}).gpu_devices == ()
    assert configuration.read({"GPU_DEVICES": "2"}).gpu_devices == (2,)
    assert configuration.read({"GPU_DEVICES": "0, 1"}).gpu_devices == (0, 1)


@pytest.mark.parametrize("text", ["all", "0,", "0 1", "-1", "1,1", "٣"])
def test_a_wrong_list_of_gpus_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^GPU_DEVICES={text} is no list of GPUs"):
        configuration.read({"GPU_DEVICES": text})


@pytest.mark.parametrize("folder", ["/data/#1", "/data/a;b", '/data/"new"'])
def test_folder_names_that_supervisord_cannot_handle_are_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match=r"^DATA_DIR is /data/.*choose one without"):
        configuration.read({"DATA_DIR": folder})
