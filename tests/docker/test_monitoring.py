"""Metrics, dashboards and alerts: a real Prometheus scrapes the real service under load.

Prometheus and promtool come from the image that the stack runs.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests import clients, synthetic
from tests.service import ROOT, Service, free_ports, running

pytestmark = pytest.mark.docker

IMAGE = "prom/prometheus:v3.5.0"
PROMETHEUS = ROOT / "compose" / "prometheus"
DASHBOARDS = sorted((ROOT / "compose" / "grafana" / "dashboards").glob("*.json"))
RULES = [
    rule
    for file in sorted((PROMETHEUS / "rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prometheus and promtool."""
    if not shutil.which("docker"):
        pytest.skip("there is no docker command on this machine")
    created = subprocess.run(["docker", "create", IMAGE], capture_output=True, text=True)
    if created.returncode:
        pytest.skip(f"no container of {IMAGE} can be created: {created.stderr.strip()}")
    container, folder = created.stdout.split()[-1], tmp_path_factory.mktemp("bin")
    try:
        for name in ("prometheus", "promtool"):
            subprocess.run(["docker", "cp", f"{container}:/bin/{name}", folder / name], check=True, capture_output=True)
    finally:
        subprocess.run(["docker", "rm", container], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, with its workers' metrics on separate ports as in containers."""
    folder = tmp_path_factory.mktemp("watched")
    certificate = folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "90", "-subj", "/CN=xray.example", "-keyout", folder / "key.pem", "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    first, dicom = free_ports(2)
    settings = {"METRICS_PORT": str(first), "DICOM_PORT": str(dicom), "TLS_CERTIFICATE": str(certificate)}
    with running(folder / "data", **settings) as service:
        service.metrics_ports = tuple(range(first, first + 5))
        yield service


@pytest.fixture(scope="module")
def prometheus(binaries: Path, watched: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A Prometheus with the stack's configuration, except for targets and shorter intervals, after a load."""
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_ports(1)[0]
    shutil.copytree(PROMETHEUS / "rules", folder / "rules")
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    ingest, infer, deliver, bulk, dicom = watched.metrics_ports
    targets = {"web": watched.url, "worker-ingest": f"//127.0.0.1:{ingest}", "worker-infer": f"//127.0.0.1:{infer}",
               "worker-deliver": f"//127.0.0.1:{deliver}", "worker-bulk": f"//127.0.0.1:{bulk}",
               "worker-dicom": f"//127.0.0.1:{dicom}", "flower": watched.flower_url,
               "prometheus": f"//127.0.0.1:{port}"}  # fmt: skip
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [targets.pop(job["job_name"]).rpartition("/")[2]]}]
    assert not targets, "the stack's Prometheus does not scrape these"
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        [binaries / "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            load(watched)
            time.sleep(5)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def load(service: Service) -> None:
    """Send images, a study and files that are no images, and run the purge, which beat runs only after an hour."""
    clients.post_many(service, [synthetic.xray_jpeg(seed) for seed in range(12)], clients=4)
    with clients.admin(service) as api:
        clients.wait_final(api, clients.upload(api, synthetic.truncated_jpeg()).json()["url"])
        packed = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(12)})
        files = [("files", ("study.zip", packed)), ("files", ("notes.jpg", synthetic.text()))]
        clients.wait_final(api, api.post("/api/v1/studies/", files=files).json()["url"])
    subprocess.run(
        [sys.executable, "manage.py", "purge"], cwd=ROOT, env={**os.environ, "DATA_DIR": str(service.data_dir)},
        check=True, capture_output=True,
    )  # fmt: skip


def query(prometheus: httpx.Client, expression: str) -> list[dict]:
    answer = prometheus.get("/api/v1/query", params={"query": expression})
    assert answer.status_code == 200, (expression, answer.text)
    return answer.json()["data"]["result"]


def test_promtool_accepts_configuration_and_rules_and_their_tests_pass(binaries: Path) -> None:
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "tests/pneumoqueue.yml"]):
        completed = subprocess.run([binaries / "promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True)
        print(completed.stdout)
        assert completed.returncode == 0, completed.stdout + completed.stderr


def test_prometheus_can_scrape_every_process(prometheus: httpx.Client) -> None:
    assert {series["metric"]["job"]: series["value"][1] for series in query(prometheus, "up")} == dict.fromkeys(
        (
            *("web", "worker-ingest", "worker-bulk", "worker-infer", "worker-deliver", "worker-dicom"),
            *("flower", "prometheus"),
        ),
        "1",
    )


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.stem)
def test_every_expression_of_a_dashboard_returns_a_series(prometheus: httpx.Client, dashboard: Path) -> None:
    expressions = {
        (panel["title"], target["expr"].replace("$__rate_interval", "1m"))
        for panel in json.loads(dashboard.read_text())["panels"]
        for target in panel.get("targets", [])
    }
    empty = sorted((title, text) for title, text in expressions if not query(prometheus, text))
    print(f"{dashboard.stem}: {len(expressions)} expressions")
    assert expressions
    assert not empty


def test_every_alert_is_evaluated_and_its_series_exist(prometheus: httpx.Client) -> None:
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    loaded = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(loaded) == {rule["alert"] for rule in RULES}
    assert {name: rule["health"] for name, rule in loaded.items()} == dict.fromkeys(loaded, "ok")
    names = {name for rule in RULES for name in re.findall(r"\b(?:pneumoqueue|process)_\w+|\bup\b", rule["expr"])}
    assert len(names) > 10
    # This metric has a series for each alert of managers, and here there is no such alert.
    names.remove("pneumoqueue_agreement_alerts")
    assert not [name for name in names if not query(prometheus, f"count({name})")]
    assert {name for name, rule in loaded.items() if rule["state"] == "firing"} <= {"ImagesFail"}


def counts_now(prometheus: httpx.Client) -> Counter[tuple[str, ...]]:
    """The numbers of images by stage and priority, of images in batches, and of starts of the infer worker."""
    by_stage = query(prometheus, "sum by (stage, priority) (pneumoqueue_stage_seconds_count)")
    counts = {(series["metric"]["stage"], series["metric"]["priority"]): series for series in by_stage}
    [counts["in batches",]] = query(prometheus, "sum(pneumoqueue_batch_size_sum)")
    [counts["starts",]] = query(prometheus, 'sum(pneumoqueue_worker_starts_total{job="worker-infer"})')
    return Counter({name: int(float(series["value"][1])) for name, series in counts.items()})


def test_the_histograms_count_each_image_once(prometheus: httpx.Client, watched: Service) -> None:
    before = counts_now(prometheus)
    assert all(before[stage, "interactive"] >= 12 for stage in ("prepare", "wait", "read", "total"))
    clients.post_many(watched, [synthetic.xray_jpeg(seed) for seed in range(3)], clients=3)
    with clients.admin(watched) as api:
        packed = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(5)})
        clients.wait_final(api, api.post("/api/v1/studies/", files=[("files", ("study.zip", packed))]).json()["url"])
    time.sleep(3)
    assert counts_now(prometheus) - before == {
        ("in batches",): 8,
        **{(stage, "interactive"): 3 for stage in ("prepare", "wait", "read", "total")},
        **{(stage, "bulk"): 5 for stage in ("prepare", "wait", "read", "total")},
    }


def test_counters_continue_after_a_child_is_killed(prometheus: httpx.Client, watched: Service) -> None:
    before = counts_now(prometheus)
    watched.infer_child().kill()
    clients.post_many(watched, [synthetic.xray_jpeg(99)], clients=1)
    time.sleep(3)
    after = counts_now(prometheus) - before
    assert (after["in batches",], after["starts",]) == (1, 1)
