"""Images that need much memory fail alone with their code: no container exceeds its limit of 1 GB, or restarts."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import clients, synthetic
from tests.docker.conftest import Stack, docker

pytestmark = pytest.mark.docker

#: Files of a few hundred kB with very many pixels, and the expected error; empty for the largest accepted ones.
FILES = {
    "too-large-16bit.png": (10_000, "I;16", "image_too_large"),
    "too-large-rgba.png": (10_000, "RGBA", "image_too_large"),
    "largest-16bit.png": (9_400, "I;16", ""),
    "largest-rgba.png": (7_300, "RGBA", ""),
    "largest-grey.png": (10_000, "L", ""),
}


def test_hostile_files_fail_alone_within_the_memory_of_a_container(stack: Stack) -> None:
    [container] = stack.containers("worker-ingest")
    before = json.loads(docker("inspect", container))[0]
    assert before["HostConfig"]["Memory"] == 2**30
    contents = {name: synthetic.bomb_png(side, mode) for name, (side, mode, _) in FILES.items()}
    with clients.client(stack, headers={"Authorization": f"Token {clients.token(stack)}"}) as api:

        def read(name: str) -> tuple[str, str]:
            image = clients.upload(api, contents.get(name) or synthetic.xray_jpeg(), name).raise_for_status().json()
            result = clients.wait_final(api, image["url"], 300)
            api.delete(image["url"]).raise_for_status()  # other tests expect that every image succeeds
            return name, (result["error"] or {"code": ""})["code"]

        with ThreadPoolExecutor(6) as pool:
            codes = dict(pool.map(read, [*FILES, "ordinary.jpeg"]))
    assert codes == {**{name: code for name, (_, _, code) in FILES.items()}, "ordinary.jpeg": ""}
    [after] = json.loads(docker("inspect", container))
    assert not after["State"]["OOMKilled"]
    assert after["State"]["StartedAt"] == before["State"]["StartedAt"]
