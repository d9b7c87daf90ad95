"""The stack: all containers are healthy, the proxy serves and protects them, and killing them loses no image."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from tests import clients, synthetic
from tests.docker.conftest import SERVICES, Stack, docker
from webapp.config import settings

pytestmark = pytest.mark.docker

IMAGES = 240
#: Most seconds that all images may take while the containers are killed in turn, on a machine with two processors.
LOAD_SECONDS = 900
WEB, WORKER = (f"pneumoqueue-{name}:{settings.VERSION}" for name in ("web", "worker"))


# --- the images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", [WEB, WORKER])
def test_the_images_have_a_user_a_version_and_no_secret(stack: Stack, image: str) -> None:
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.version"] == settings.VERSION
    assert config["Entrypoint"] == ["tini", "--"]
    assert config["Healthcheck"]["Test"]
    text = " ".join(config["Env"]) + docker("history", "--no-trunc", "--format={{.CreatedBy}}", image)
    assert not re.search(r"PASSWORD|SECRET|index-url", text)


def test_the_web_image_is_small_and_has_no_tensorflow(stack: Stack) -> None:
    sizes = [int(docker("image", "inspect", "--format={{.Size}}", name)) for name in (WEB, "python:3.11-slim-bookworm")]
    assert sizes[0] - sizes[1] < 400e6
    code = "from importlib.util import find_spec as f; print(f('tensorflow'), f('numpy'), f('pip'))"
    assert docker("run", "--rm", WEB, "/opt/venv/bin/python", "-c", code) == "None None None"


@pytest.mark.parametrize("variables", [{}, {"SECRET_KEY": "change-me", "REDIS_URL": "redis://redis"}])
def test_the_service_refuses_to_start_with_missing_or_known_secrets(stack: Stack, variables: dict[str, str]) -> None:
    options = [f"--env={name}={value}" for name, value in ({"ENVIRONMENT": "production"} | variables).items()]
    with pytest.raises(AssertionError) as refusal:
        docker("run", "--rm", "--network=none", *options, WEB)
    assert "SECRET_KEY is missing or weak" in str(refusal.value)


# --- health ---------------------------------------------------------------------------------------------------------


def test_all_containers_become_healthy(stack: Stack) -> None:
    assert set(stack.start_seconds) >= set(SERVICES)
    print({name: round(seconds) for name, seconds in stack.start_seconds.items()})
    assert httpx.get(f"{stack.url}/readyz", timeout=20).json()["status"] == "ready"


def test_the_root_file_systems_are_read_only(stack: Stack) -> None:
    own_services = ("web", "worker-infer", "worker-ingest", "worker-bulk", "worker-deliver", "beat", "flower")
    for service in (*own_services, "proxy", "redis"):
        output = stack.compose("exec", "-T", service, "sh", "-c", "touch /etc/written 2>&1 || id -u")
        assert "Read-only" in output, service
        assert output.split()[-1] != "0", service


def test_an_xray_gets_a_result_and_pictures(stack: Stack) -> None:
    picture = synthetic.xray_jpeg(1)
    with clients.client(stack) as guest:
        job = clients.upload(guest, picture).raise_for_status().json()
        guest.cookies.clear()
        guest.headers["X-Job-Token"] = job["token"]
        result = clients.wait_final(guest, job["url"])
        assert result["status"] == "succeeded"
        assert 0 <= result["probability"] <= 1
        for kind, mime in (("preview_url", "image/jpeg"), ("input_url", "image/png"), ("heatmap_url", "image/png")):
            answer = guest.get(result[kind]).raise_for_status()
            assert answer.headers["Content-Type"] == mime
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "private" in answer.headers["Cache-Control"]
            assert "X-Accel-Redirect" not in answer.headers
            assert answer.content
        assert httpx.get(result["preview_url"], timeout=20).status_code == 404


def test_stored_files_have_no_public_url(stack: Stack) -> None:
    for path in ("/protected/", "/protected/previews", "/media/uploads", "/internal/staff", "/internal/"):
        assert httpx.get(stack.url + path, timeout=20).status_code == 404


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(stack: Stack) -> None:
    for path in ("/api/v1/studies/", "/api/v1/images/"):
        connection = HTTPConnection(stack.url.removeprefix("http://"), timeout=20)
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", "multipart/form-data; boundary=x")
        connection.putheader("Content-Length", str(settings.MAX_STUDY_BYTES + 2**21))
        connection.endheaders()  # but no body is sent
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.load(answer)["code"] == "file_too_large"
        connection.close()


# --- for staff only -------------------------------------------------------------------------------------------------


def sign_in(stack: Stack, username: str, password: str) -> httpx.Client:
    client = httpx.Client(base_url=stack.url, timeout=20, follow_redirects=False)
    page = client.get("/accounts/login/").text
    found = re.search(r'name="csrfmiddlewaretoken" value="(.+?)"', page)
    assert found
    form = {"login": username, "password": password, "csrfmiddlewaretoken": found[1], "next": "/flower/"}
    assert client.post("/accounts/login/", data=form, headers={"Referer": stack.url}).status_code == 302
    return client


def test_only_staff_can_open_flower_and_metrics(stack: Stack) -> None:
    answer = httpx.get(f"{stack.url}/flower/workers", timeout=20)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/login/?next=/flower/workers")
    assert httpx.get(f"{stack.url}/metrics", timeout=20).status_code == 401

    with closing(sign_in(stack, "admin", stack.admin_password)) as client:
        page = client.get("/flower/").raise_for_status()
        assert "Flower" in page.text
        workers = client.get("/flower/workers?json=1").raise_for_status().json()["data"]
        assert {worker["hostname"].partition("@")[0] for worker in workers} >= {"ingest", "bulk", "infer"}
        assert client.get("/flower/static/css/flower.css").status_code == 200
    with clients.admin(stack) as client:
        assert "pneumoqueue_images" in client.get("/metrics").raise_for_status().text

    user = "from django.contrib.auth.models import User; User.objects.create_user('ada', password='a long enough one')"
    stack.manage(f"{user}; print('made')")
    with closing(sign_in(stack, "ada", "a long enough one")) as client:
        assert client.get("/flower/").status_code == 403
        assert client.get("/metrics").status_code == 403


# --- nothing is lost ------------------------------------------------------------------------------------------------


class Load:
    """Clients that upload images, and repeat each upload until it is accepted, while the test kills containers.

    Attributes:
        pause: seconds that each of four clients waits before an upload.
        urls: the URLs of the accepted images.
        repeats: number of uploads that were not answered with 202.
    """

    def __init__(self, stack: Stack, pause: float = 0.0) -> None:
        self.stack, self.pause = stack, pause
        self.urls: list[str] = []
        self.repeats = 0
        self._headers = {"Authorization": f"Token {clients.token(stack)}"}
        self._pictures = [synthetic.xray_jpeg(seed) for seed in range(8)]
        self._before = self._succeeded()
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def _send_all(self) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._send, range(IMAGES)))

    def _send(self, number: int) -> None:
        time.sleep(self.pause)
        while True:
            try:
                with httpx.Client(base_url=self.stack.url, headers=self._headers, timeout=60) as api:
                    answer = clients.upload(api, self._pictures[number % 8], f"{number}.jpeg")
                if answer.status_code == 202:
                    self.urls.append(answer.json()["url"])
                    return
            except httpx.TransportError:
                pass
            self.repeats += 1
            time.sleep(0.5)

    def _succeeded(self) -> int:
        """The number of images that succeeded in the last hour; retried while services restart."""
        pattern = re.compile(
            r'^pneumoqueue_images_finished_last_hour\{code="",status="succeeded"\} (.*)$', re.MULTILINE
        )
        deadline = time.monotonic() + LOAD_SECONDS
        while True:
            try:
                answer = httpx.get(f"{self.stack.url}/metrics", headers=self._headers, timeout=30)
                if found := pattern.search(answer.text):
                    return int(float(found[1]))
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "the metrics lack the number of succeeded images"
            time.sleep(0.5)

    def wait_until_read(self, number: int) -> None:
        """Wait until `number` images have been read."""
        deadline = time.monotonic() + LOAD_SECONDS
        while (read := self._succeeded() - self._before) < number:
            assert time.monotonic() < deadline, f"only {read} of {number} images were read in time"
            time.sleep(1)

    def wait_for_results(self) -> list[dict[str, Any]]:
        """Wait until all images are accepted and finished; check that each succeeded once, and return the results."""
        self._thread.join(LOAD_SECONDS)
        assert len(set(self.urls)) == len(self.urls) == IMAGES
        self.wait_until_read(IMAGES)
        with clients.client(self.stack, headers=self._headers) as api:
            results = clients.final_results(api, self.urls)
        assert [result["error"] for result in results if result["status"] != "succeeded"] == []
        return results


def read_counts(stack: Stack) -> Counter[str]:
    """The number of messages that each infer worker has completed, as counted by Flower."""
    code = "import urllib.request as r; print(r.urlopen('http://flower:5555/flower/metrics').read().decode())"
    metrics = stack.compose("exec", "-T", "web", "python", "-c", code)
    line = r'^flower_events_total{task="worker.infer",type="task-succeeded",worker="(.+?)"} (.+)$'
    return Counter({worker: int(float(count)) for worker, count in re.findall(line, metrics, re.MULTILINE)})


@pytest.fixture
def two_workers(stack: Stack) -> Iterator[list[str]]:
    stack.compose("up", "-d", "--no-recreate", "--scale", "worker-infer=2", "worker-infer")
    stack.wait_until_healthy("worker-infer")
    yield stack.containers("worker-infer")
    stack.compose("up", "-d", "--no-recreate", "--scale", "worker-infer=1", "worker-infer")


def test_two_workers_share_the_work_and_read_no_image_twice(stack: Stack, two_workers: list[str]) -> None:
    started = time.monotonic()
    before = read_counts(stack)
    load = Load(stack)
    results = load.wait_for_results()
    print(f"{IMAGES} images in {time.monotonic() - started:.0f} s")
    # Each image was read once, although the reconciler may have resent a message that a worker held.
    assert all(result["attempts"] == 1 for result in results)
    time.sleep(5)  # Flower learns of it a little later
    read = read_counts(stack) - before
    print(read)
    assert sum(read.values()) >= IMAGES
    assert len(read) == 2
    assert min(read.values()) > IMAGES / 5


def test_all_images_succeed_once_although_containers_are_killed_or_restarted(
    stack: Stack, two_workers: list[str]
) -> None:
    started = time.time()
    load = Load(stack, pause=2.0)  # so that uploads arrive during the restarts
    load.wait_until_read(20)
    docker("kill", "--signal=KILL", two_workers[0])
    load.wait_until_read(60)
    docker("start", two_workers[0])
    stack.compose("restart", "redis")
    load.wait_until_read(120)
    stack.compose("restart", "db")
    load.wait_until_read(200)
    stack.compose("restart", "web")
    results = load.wait_for_results()
    print(f"{IMAGES} images in {time.time() - started:.0f} s, {load.repeats} uploads repeated, "
          f"{sum(result['attempts'] > 1 for result in results)} images started more than once")  # fmt: skip
    stack.wait_until_healthy()
    # An upload whose answer was cut off may have left an image that its client does not know; it is read as well.
    unread = stack.manage("from webapp.studies.models import Image; "
                        "print(Image.objects.exclude(status='succeeded').count())")  # fmt: skip
    assert unread == "0"


def test_a_stopped_worker_finishes_its_batch_and_returns_the_rest(stack: Stack) -> None:
    load = Load(stack)
    load.wait_until_read(16)
    started = time.monotonic()
    stack.compose("stop", "worker-infer")
    seconds = time.monotonic() - started
    print(f"stopped in {seconds:.0f} s")
    (container,) = stack.compose("ps", "-q", "-a", "worker-infer").split()
    assert docker("inspect", "--format={{.State.ExitCode}}", container) == "0"
    stack.compose("start", "worker-infer")
    results = load.wait_for_results()
    assert all(result["attempts"] == 1 for result in results)


def test_a_rolling_update_and_back_loses_no_image(stack: Stack) -> None:
    for image in (WEB, WORKER):
        docker("tag", image, f"{image}-next")
    load = Load(stack, pause=1.0)
    try:
        for version in (f"{settings.VERSION}-next", settings.VERSION):  # as docs/operations.md says
            load.wait_until_read(20)
            stack.environment["VERSION"] = version
            stack.compose("run", "--rm", "migrate")
            stack.compose("up", "-d", "--no-deps", "worker-ingest", "worker-bulk", "worker-infer", "worker-deliver")
            stack.compose("up", "-d", "--no-deps", "web", "beat", "flower")
            stack.compose("up", "-d", "proxy")
            stack.wait_until_healthy()
            for service in ("web", "worker-ingest", "worker-bulk", "worker-infer", "worker-deliver", "beat", "flower"):
                (container,) = stack.containers(service)
                assert docker("inspect", "--format={{.Config.Image}}", container).endswith(f":{version}")
        results = load.wait_for_results()
        print(f"{load.repeats} uploads repeated, {sum(result['attempts'] > 1 for result in results)} started twice")
    finally:
        stack.environment.pop("VERSION", None)
        docker("rmi", f"{WEB}-next", f"{WORKER}-next")
