"""The programs, and their configuration as supervisord and Redis read it."""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from supervisor.options import ServerOptions

from compose.local import programs, resources
from compose.local.config import ROOT, Config
from compose.local.programs import Program

#: A folder name with characters that need care in configuration files.
ODD_NAME = "it's 50% %(of)s a\\folder ü"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(data_dir=tmp_path / ODD_NAME, port=8123, flower_port=5123)
    for folder in (config.run_dir, config.redis_dir, config.logs_dir):
        folder.mkdir(parents=True)
    return config


@pytest.fixture
def children(config: Config) -> dict[str, Program]:
    return {program.name: program for program in programs.programs(config, Path("/usr/bin/redis-server"))}


@pytest.fixture
def options(config: Config, children: dict[str, Program], monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    """supervisord's configuration as supervisord reads it."""
    text = programs.supervisord_conf(config, list(children.values()), run_as_root=False)
    file = config.run_dir / "supervisord.conf"
    file.write_text(text)
    monkeypatch.setenv("DATA_DIR", str(config.data_dir))
    monkeypatch.chdir(config.data_dir)
    parsed = ServerOptions()
    parsed.realize(["--configuration", str(file)])
    return parsed


def test_all_other_programs_stop_together_and_before_redis(
    options: ServerOptions, children: dict[str, Program]
) -> None:
    groups = sorted(options.process_group_configs, reverse=True)  # the order in which supervisord stops them
    others, redis = ({process.name for process in group.process_configs} for group in groups)
    assert redis == {"redis"}
    assert others == set(children) - redis


def test_supervisord_runs_each_program_as_configured(
    options: ServerOptions, config: Config, children: dict[str, Program]
) -> None:
    read = {process.name: process for group in options.process_group_configs for process in group.process_configs}
    assert set(read) == set(children)
    for name, program in children.items():
        command = shlex.split(read[name].command)
        assert command[-len(program.command) :] == program.command
        assert command[: -len(program.command)] == [sys.executable, "-S", str(ROOT / "compose" / "local" / "tied.py")]
        assert read[name].environment == dict(program.environment)
        assert read[name].stopwaitsecs == program.stop_seconds
        assert read[name].killasgroup
        assert not read[name].stopasgroup
        assert read[name].redirect_stderr
        assert read[name].autorestart
        assert read[name].directory == str(ROOT)
        assert Path(read[name].stdout_logfile).absolute() == config.logs_dir / f"{name}.log"
        assert 0 < read[name].stdout_logfile_maxbytes <= 10 * 2**20
        assert read[name].stdout_logfile_backups == 3


def test_supervisord_stays_in_the_foreground_and_writes_to_the_data_folder(
    options: ServerOptions, config: Config
) -> None:
    assert options.nodaemon
    assert options.pidfile == str(config.run_dir / "supervisord.pid")
    assert Path(options.logfile).absolute() == config.logs_dir / "supervisord.log"


def test_redis_starts_first_and_stops_last(options: ServerOptions) -> None:
    order = sorted(options.process_group_configs)
    assert order[0].name == "redis"
    assert order[1].priority > order[0].priority


def test_the_configuration_names_a_user_only_for_root(config: Config, children: dict[str, Program]) -> None:
    program_list = list(children.values())
    assert "user = root" in programs.supervisord_conf(config, program_list, run_as_root=True)
    assert "user" not in programs.supervisord_conf(config, program_list, run_as_root=False)


def test_every_queue_has_a_worker(children: dict[str, Program], settings: object) -> None:
    from webapp.studies import dispatch
    from webapp.studies.choices import Priority

    expected = [
        dispatch.queue_of(step, priority) for step in (dispatch.INGEST, dispatch.INFER) for priority in Priority
    ]
    served: list[str] = []
    for name in ("ingest", "bulk", "infer", "deliver"):
        [queues] = [word for word in children[name].command if word.startswith("--queues=")]
        served += queues.removeprefix("--queues=").split(",")
        assert children[name].environment["PNEUMOQUEUE_ROLE"] == name
    assert sorted(served) == sorted([*expected, dispatch.UNPACK_QUEUE, "control", "deliver"])
    stack = (ROOT / "docker-compose.yml").read_text()
    assert all(word in stack for name in ("ingest", "bulk") for word in children[name].command if "--queues" in word)


def test_each_gpu_has_an_infer_worker_that_sees_no_other(config: Config, children: dict[str, Program]) -> None:
    found = programs.programs(replace(config, gpu_devices=(0, 2), metrics_port=9101), Path("redis-server"))
    workers = [program for program in found if program.environment.get("PNEUMOQUEUE_ROLE") == "infer"]
    assert [worker.name for worker in workers] == ["infer0", "infer2"]
    for worker, gpu, port in zip(workers, ("0", "2"), ("9102", "9106"), strict=True):
        # Celery and the metrics tell workers apart by these names.
        assert f"--hostname={worker.name}@%h" in worker.command
        assert worker.environment["PNEUMOQUEUE_WORKER"] == worker.name
        assert worker.environment["CUDA_VISIBLE_DEVICES"] == gpu
        assert worker.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert worker.environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
        assert worker.environment["METRICS_PORT"] == port
        others = [word for word in worker.command if not word.startswith("--hostname")]
        assert others == [word for word in children["infer"].command if not word.startswith("--hostname")]
    assert "--hostname=infer@%h" in children["infer"].command
    assert "CUDA_VISIBLE_DEVICES" not in children["infer"].environment


def test_one_worker_prepares_only_interactive_images(children: dict[str, Program]) -> None:
    assert "--queues=ingest.interactive" in children["ingest"].command


@pytest.mark.parametrize(("processors", "processes"), [(None, 1), (1, 1), (2, 1), (4, 2), (64, 2)])
def test_preparing_leaves_processors_for_uploads(
    config: Config, monkeypatch: pytest.MonkeyPatch, processors: int | None, processes: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    [ingest] = [program for program in programs.programs(config, Path("redis-server")) if program.name == "ingest"]
    assert ingest.command[-1] == f"--concurrency={processes}"


def test_each_step_has_a_lower_priority_than_the_one_before(children: dict[str, Program]) -> None:
    """Otherwise uploads would wait for the preparation of earlier uploads."""

    def niceness(name: str) -> int:
        command = children[name].command
        return int(command[2]) if command[:2] == ["nice", "-n"] else 0

    levels = [niceness(name) for name in ("web", "ingest", "infer", "bulk")]
    assert levels == sorted(set(levels))


def test_programs_listen_only_on_loopback(config: Config, children: dict[str, Program]) -> None:
    assert "127.0.0.1:8123" in children["web"].command
    assert {"--address=127.0.0.1", "--port=5123"} <= set(children["flower"].command)
    assert "bind 127.0.0.1" in programs.redis_conf(config, 1, "x").splitlines()


def test_host_applies_only_to_the_web_process(config: Config) -> None:
    public_config = replace(config, host="0.0.0.0")
    for program in programs.programs(public_config, Path("redis-server")):
        assert any("0.0.0.0" in word for word in program.command) == (program.name == "web")
    assert "bind 127.0.0.1" in programs.redis_conf(public_config, 1, "x").splitlines()


def test_the_dicom_listener_uses_the_web_processs_address(config: Config) -> None:
    all_programs = programs.programs(replace(config, dicom_port=11112, host="0.0.0.0"), Path("redis-server"))
    [listener] = [program for program in all_programs if program.name == "dicom"]
    assert listener.command[1:] == ["-m", "worker.dicom"]
    assert listener.environment["DICOM_HOST"] == "0.0.0.0"


def test_the_web_process_uses_the_certificate_if_other_machines_can_reach_it(config: Config) -> None:
    def tls(config: Config) -> list[str]:
        all_programs = programs.programs(config, Path("redis-server"))
        return [
            word for program in all_programs for word in program.command if word.startswith(("--certfile", "--keyfile"))
        ]

    assert tls(config) == []
    secrets = config.secrets_dir
    assert tls(replace(config, host="0.0.0.0")) == [f"--certfile={secrets}/tls.crt", f"--keyfile={secrets}/tls.key"]


def test_no_secret_is_in_a_command(children: dict[str, Program]) -> None:
    for program in children.values():
        assert not [word for word in program.command if "auth" in word or "password" in word]


@pytest.fixture
def redis_port(config: Config) -> Iterator[int]:
    """Run a real Redis with the configuration of the service; yield its port."""
    port = resources.free_port()
    programs.redis_conf_path(config).write_text(programs.redis_conf(config, port, "a-password"))
    server = subprocess.Popen(
        [resources.redis_server(), programs.redis_conf_path(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        deadline = time.monotonic() + 20
        while not resources.is_taken(port):
            assert server.poll() is None, server.stdout and server.stdout.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=20)


def test_redis_needs_the_password_and_stores_every_message(config: Config, redis_port: int) -> None:
    for password in (None, "guess"):
        # Without retries: repeating cannot make the password right.
        other_client = redis.Redis(port=redis_port, password=password, retry=Retry(NoBackoff(), 0))
        with other_client, pytest.raises(redis.AuthenticationError):
            other_client.ping()
    with redis.Redis(port=redis_port, password="a-password") as client:
        client.set("kept", "yes")
        assert client.config_get("dir") == {"dir": str(config.redis_dir)}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert list(config.redis_dir.glob("appendonly*"))


def test_the_web_process_serves_the_workers_metrics_unless_they_have_ports(config: Config) -> None:
    def metrics(config: Config) -> dict[str, dict[str, str]]:
        all_programs = programs.programs(config, Path("redis-server"))
        names = ("PROMETHEUS_MULTIPROC_DIR", "METRICS_PORT")
        return {
            program.name: variables
            for program in all_programs
            if (variables := {name: program.environment[name] for name in names if name in program.environment})
        }

    shared = {"PROMETHEUS_MULTIPROC_DIR": str(programs.metrics_dir(config))}
    assert metrics(config) == {"web": shared, "ingest": shared, "bulk": shared, "infer": shared, "deliver": shared}
    assert metrics(replace(config, metrics_port=9101)) == {
        "web": shared, "ingest": {"METRICS_PORT": "9101"}, "infer": {"METRICS_PORT": "9102"},
        "deliver": {"METRICS_PORT": "9103"}, "bulk": {"METRICS_PORT": "9104"},
    }  # fmt: skip
