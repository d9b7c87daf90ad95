"""Databases, brokers, caches and storages as the environment names them."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from webapp.config import brokers, databases
from worker import tasks

ROOT = Path(__file__).resolve().parents[2]


def test_sqlite_waits_its_turn_and_survives_a_power_cut():
    made = databases.from_url("sqlite:////tmp/x.sqlite3")
    assert made["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "synchronous=FULL" in made["OPTIONS"]["init_command"]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "mysql", "mariadb"])
def test_servers_are_asked_whether_they_are_still_there(scheme):
    made = databases.from_url(f"{scheme}://someone:pass%40word@db:1234/clinic")
    assert made["ENGINE"] == f"django.db.backends.{'postgresql' if 'postgres' in scheme else 'mysql'}"
    assert (made["USER"], made["PASSWORD"], made["HOST"], made["PORT"]) == ("someone", "pass@word", "db", 1234)
    assert made["CONN_HEALTH_CHECKS"]
    assert made["CONN_MAX_AGE"] is None
    assert made["OPTIONS"]["connect_timeout"] == 5


def test_options_in_the_url_go_first():
    made = databases.from_url("postgres://u@db/clinic?sslmode=verify-full&connect_timeout=9")
    assert made["OPTIONS"]["sslmode"] == "verify-full"
    assert int(made["OPTIONS"]["connect_timeout"]) == 9


def test_only_redis_has_a_visibility_timeout():
    assert brokers.transport_options("redis://:secret@host/0", longest_task=120)["visibility_timeout"] == 132
    assert brokers.transport_options("amqp://user:secret@host//", longest_task=120) == {"confirm_publish": True}


def test_redis_gives_no_message_out_again_while_its_task_may_run():
    registered = [task for name, task in tasks.app.tasks.items() if name.startswith("worker.")]
    limits = {task.name: getattr(task, "batch_time_limit", task.time_limit) for task in registered}
    assert limits == settings.TASK_TIME_LIMITS
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > max(limits.values())


def test_sentinel_gets_the_masters_name_and_both_passwords():
    url = "sentinel://:redis-secret@one:26379;sentinel://two:26380/3"
    options = brokers.transport_options(url, longest_task=120, master="clinic", sentinel_password="watcher")
    assert options["master_name"] == "clinic"
    assert options["sentinel_kwargs"]["password"] == "watcher"
    cache = brokers.cache(url, master="clinic", sentinel_password="watcher")
    assert cache["LOCATION"] == "redis://clinic/3"
    assert cache["OPTIONS"]["SENTINELS"] == [("one", 26379), ("two", 26380)]
    assert cache["OPTIONS"]["PASSWORD"] == "redis-secret"
    assert cache["OPTIONS"]["SENTINEL_KWARGS"]["password"] == "watcher"


@pytest.mark.parametrize("url", ["redis://one:6379/0", "sentinel://one:26379/3"])
def test_what_lies_in_the_cache_is_never_unpickled(url):
    options = brokers.cache(url, master="clinic")["OPTIONS"]
    serializer = import_string(options["SERIALIZER"])({})
    history = [1764111111.25, 1764111110.0]  # what is kept of requests
    assert serializer.loads(serializer.dumps(history)) == history
    with pytest.raises((ValueError, UnicodeDecodeError)):
        serializer.loads(pickle.dumps(history))


def test_without_redis_each_process_counts_for_itself():
    assert brokers.cache("")["BACKEND"].endswith("LocMemCache")


def configured(tmp_path, **environment):
    code = (
        "import json; from django.conf import settings as s;"
        "print(json.dumps([s.CELERY_BROKER_URL, s.CACHES['default']['BACKEND'], s.STORAGES['default']]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={
            "PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "webapp.config.settings",
            **environment,
        },
    )  # fmt: skip
    return json.loads(process.stdout)


def test_the_environment_chooses_broker_cache_and_storage(tmp_path):
    broker, cache, storage = configured(tmp_path)
    assert broker.startswith("redis://")
    assert cache.endswith("RedisCache")
    assert storage["OPTIONS"]["location"] == str(tmp_path / "media")
    broker, cache, storage = configured(tmp_path, BROKER_URL="amqp://host//", S3_BUCKET="clinic")
    assert broker == "amqp://host//"
    assert cache.endswith("LocMemCache")
    assert storage["OPTIONS"]["bucket_name"] == "clinic"
    broker, cache, _ = configured(tmp_path, BROKER_URL="amqp://host//", REDIS_URL="redis://counts/1")
    assert broker == "amqp://host//"
    assert cache.endswith("RedisCache")
