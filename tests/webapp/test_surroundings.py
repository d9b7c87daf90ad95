"""Databases, brokers, caches and storages as configured by environment variables."""

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


def test_sqlite_locks_at_once_and_writes_durably():
    config = databases.from_url("sqlite:////tmp/x.sqlite3")
    assert config["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "synchronous=FULL" in config["OPTIONS"]["init_command"]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "mysql", "mariadb"])
def test_connections_to_database_servers_are_kept_and_checked(scheme):
    config = databases.from_url(f"{scheme}://someone:pass%40word@db:1234/clinic")
    assert config["ENGINE"] == f"django.db.backends.{'postgresql' if 'postgres' in scheme else 'mysql'}"
    assert (config["USER"], config["PASSWORD"], config["HOST"], config["PORT"]) == ("someone", "pass@word", "db", 1234)
    assert config["CONN_HEALTH_CHECKS"]
    assert config["CONN_MAX_AGE"] is None
    assert config["OPTIONS"]["connect_timeout"] == 5


def test_options_in_the_url_take_precedence():
    config = databases.from_url("postgres://u@db/clinic?sslmode=verify-full&connect_timeout=9")
    assert config["OPTIONS"]["sslmode"] == "verify-full"
    assert int(config["OPTIONS"]["connect_timeout"]) == 9


def test_only_redis_has_a_visibility_timeout():
    assert brokers.transport_options("redis://:secret@host/0", longest_task=120)["visibility_timeout"] == 132
    assert brokers.transport_options("amqp://user:secret@host//", longest_task=120) == {"confirm_publish": True}


def test_redis_redelivers_no_message_while_its_task_may_run():
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
def test_cached_values_are_never_unpickled(url):
    options = brokers.cache(url, master="clinic")["OPTIONS"]
    serializer = import_string(options["SERIALIZER"])({})
    history = [1764111111.25, 1764111110.0]  # times of requests, as the throttles cache them
    assert serializer.loads(serializer.dumps(history)) == history
    with pytest.raises((ValueError, UnicodeDecodeError)):
        serializer.loads(pickle.dumps(history))


def test_without_redis_each_process_has_its_own_cache():
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
