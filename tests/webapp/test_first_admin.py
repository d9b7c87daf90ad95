"""The administrator that the first start creates."""

from django.contrib.auth.models import User
from django.core.management import call_command

TOKEN_URL = "/api/v1/auth/token/"

# --- the administrator ----------------------------------------------------------------------------------------------


def test_the_first_start_creates_an_admin_with_the_given_password(db, monkeypatch, capsys):
    monkeypatch.setenv("ADMIN_PASSWORD", "given-by-the-launcher")
    call_command("ensure_admin")
    admin = User.objects.get(username="admin")
    assert admin.check_password("given-by-the-launcher")
    assert admin.is_staff
    assert admin.is_superuser
    assert "given-by-the-launcher" not in capsys.readouterr().out


def test_without_a_given_password_a_random_one_is_printed_once(db, monkeypatch, capsys):
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    call_command("ensure_admin")
    printed = capsys.readouterr().out.split()
    admin = User.objects.get(username="admin")
    assert any(len(word) >= 12 and admin.check_password(word) for word in printed)
    before = admin.password
    call_command("ensure_admin")
    assert capsys.readouterr().out == ""
    assert User.objects.get(username="admin").password == before


def test_another_given_password_replaces_the_old_one(db, monkeypatch):
    for password in ("the first password", "the second password"):
        monkeypatch.setenv("ADMIN_PASSWORD", password)
        call_command("ensure_admin")
        assert User.objects.get(username="admin").check_password(password)
    assert User.objects.count() == 1
