"""Signing in, and the stored login."""

import io
import json
import stat

import pytest
from pneumoqueue import account
from pneumoqueue.cli import main
from pneumoqueue.errors import NotSignedIn, UsageError


def sign_in(monkeypatch, password="right", *options):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    return main(["login", "https://xray.example/", "--username", "kim", "--password-stdin", *options])


def test_the_token_is_stored_in_a_private_file(home, fake_server, monkeypatch, capsys):
    assert sign_in(monkeypatch) == 0
    file = home / "login.json"
    assert json.loads(file.read_text()) == {"url": "https://xray.example", "token": "t0", "name": "kim"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert "t0" not in "".join(capsys.readouterr())


def test_another_sign_in_replaces_the_file_and_its_mode(home, fake_server, monkeypatch):
    home.mkdir(parents=True)
    (home / "login.json").write_text("{}")
    (home / "login.json").chmod(0o644)
    assert sign_in(monkeypatch) == 0
    assert stat.S_IMODE((home / "login.json").stat().st_mode) == 0o600


def test_a_wrong_password_stores_no_login(home, fake_server, monkeypatch, capsys):
    assert sign_in(monkeypatch, "wrong") == 3
    assert "This is authentication_failed. (authentication_failed)" in capsys.readouterr().err
    assert not (home / "login.json").exists()


def test_signing_out_revokes_the_token(home, fake_server, signed_in):
    assert main(["logout"]) == 0
    assert (fake_server.requests[0].method, fake_server.requests[0].url.path) == ("DELETE", "/api/v1/auth/token/")
    assert fake_server.requests[0].headers["authorization"] == "Token secret"
    assert not (home / "login.json").exists()
    assert main(["logout"]) == 3


def test_environment_variables_override_the_stored_login(signed_in, monkeypatch):
    monkeypatch.setenv("PNEUMOQUEUE_TOKEN", "other")
    assert account.current() == account.Account("https://xray.example", "other", "")
    monkeypatch.setenv("PNEUMOQUEUE_URL", "http://127.0.0.1:8000/")
    assert account.current() == account.Account("http://127.0.0.1:8000", "other", "")


def test_a_token_is_sent_only_to_the_server_that_issued_it(signed_in, monkeypatch):
    monkeypatch.setenv("PNEUMOQUEUE_URL", "https://elsewhere.example")
    with pytest.raises(NotSignedIn):
        account.current()


def test_a_token_without_a_server_is_wrong_usage(monkeypatch):
    monkeypatch.setenv("PNEUMOQUEUE_TOKEN", "other")
    with pytest.raises(UsageError):
        account.current()


@pytest.mark.parametrize(("given", "expected"), [
    ("xray.example", "https://xray.example"), ("http://127.0.0.1:8000//", "http://127.0.0.1:8000"),
])  # fmt: skip
def test_addresses_are_normalised(given, expected):
    assert account.clean_url(given) == expected


@pytest.mark.parametrize("given", ["", "ftp://xray.example", "https://", "http://[", "http://x:port"])
def test_invalid_addresses_are_wrong_usage(given):
    with pytest.raises(UsageError):
        account.clean_url(given)


@pytest.mark.parametrize("command", [["status"], ["results", "1"], ["delete", "1"], ["upload", __file__]])
def test_commands_without_a_login_send_no_request(command, fake_server):
    assert main(command) == 3
    assert not fake_server.requests


@pytest.mark.parametrize("command", ["upload", "watch"])
def test_a_missing_path_is_wrong_usage_even_without_a_login(command, fake_server, tmp_path):
    assert main([command, str(tmp_path / "nothing")]) == 2
