"""One infer worker for each GPU, as `make run GPU_DEVICES=0,1` starts them. Here they read on the processor."""

import time
from pathlib import Path

import pytest

from tests import clients, synthetic
from tests.service import running

pytestmark = [pytest.mark.long, pytest.mark.integration]


def test_each_gpu_has_a_worker_of_its_own_that_reads(tmp_path: Path) -> None:
    with running(tmp_path, GPU_DEVICES="0,1") as service:
        for gpu in ("0", "1"):
            environments = [process.environ() for process in service.named(rf"--hostname=infer{gpu}@")]
            assert {environment["CUDA_VISIBLE_DEVICES"] for environment in environments} == {gpu}
        logs = [tmp_path / "logs" / f"infer{gpu}.log" for gpu in (0, 1)]
        deadline = time.monotonic() + 120
        with clients.admin(service) as api:
            seed = 0
            while not all("read in a batch" in log.read_text() for log in logs):
                assert time.monotonic() < deadline, "one of the workers reads nothing"
                result = clients.wait_final(api, clients.upload(api, synthetic.xray_jpeg(seed)).json()["url"])
                assert (result["status"], result["attempts"]) == ("succeeded", 1)
                seed += 1
            workers = api.get("/api/v1/queues/").json()["workers"]
    names = [worker["name"].split("@")[0] for worker in workers if worker["role"] == "infer" and worker["ready"]]
    assert sorted(names) == ["infer0", "infer1"]
