"""Departments take turns when real workers read their bulk images."""

import time
from typing import Any

import httpx
import pytest

from tests import clients, synthetic
from tests.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.long]
MANY, FEW = 160, 8


def send(api: httpx.Client, department: str, number: int) -> Any:
    packed = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed % 6) for seed in range(number)})
    response = api.post("/api/v1/studies/", files={"files": ("bulk.zip", packed)}, data={"department": department})
    return response.raise_for_status().json()["url"]


def finish_times(api: httpx.Client, study: str) -> list[str]:
    """The times at which the images of a study were finished."""
    assert clients.wait_final(api, study, 300)["status"] == "finished"
    images = api.get(f"{study}images/", params={"page_size": MANY}).raise_for_status().json()["results"]
    assert {image["status"] for image in images} == {"succeeded"}
    return [image["finished_at"] for image in images]


def test_a_departments_many_images_do_not_hold_up_the_few_of_another(service: Service) -> None:
    with clients.admin(service) as api:
        for slug in ("many", "few"):
            api.post("/api/v1/departments/", json={"name": slug.title(), "slug": slug}).raise_for_status()
        many = send(api, "many", MANY)
        while api.get(many).json()["counts"]["succeeded"] < 10:
            time.sleep(0.05)
        few = finish_times(api, send(api, "few", FEW))
        before = sum(finished_at < max(few) for finished_at in finish_times(api, many))
    print(f"\n{before} of {MANY} images of one department were read before the last of another's {FEW}")
    assert len(few) == FEW
    assert before < MANY / 2
