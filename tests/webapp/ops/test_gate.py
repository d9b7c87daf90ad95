"""The gate in front of Flower and Grafana, and the file for containers' health checks."""

import os

from webapp.ops import liveness


def test_staff_pass_and_their_name_is_forwarded(staff_client):
    answer = staff_client.get("/internal/staff")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["X-Staff"]


def test_anonymous_users_are_asked_to_sign_in(client, db):
    assert client.get("/internal/staff").status_code == 401


def test_users_who_are_not_staff_are_refused(user_client):
    assert user_client.get("/internal/staff").status_code == 403


# --- the file for containers' health checks -------------------------------------------------------------------------


def test_the_file_is_created_renewed_and_removed(settings, tmp_path):
    file = tmp_path / "alive"
    settings.ALIVE_PATH = str(file)
    liveness.renew()
    assert not file.exists()
    liveness.mark(healthy=True)
    os.utime(file, (0, 0))
    liveness.renew()
    assert file.stat().st_mtime > 0
    liveness.mark(healthy=False)
    assert not file.exists()
    liveness.mark(healthy=False)


def test_without_a_path_nothing_is_written(settings):
    settings.ALIVE_PATH = ""
    liveness.mark(healthy=True)
    liveness.renew()
    liveness.mark(healthy=False)
