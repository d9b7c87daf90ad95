"""Departments take turns with bulk images, with real workers."""

import time
from typing import Any

import httpx
import pytest

from tests import clients, synthetic
from tests.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.long]
MANY, FEW = 160, 8


def send(by: httpx.Client, department: str, number: int) -> Any:
    packed = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed % 6) for seed in range(number)})
    sent = by.post("/api/v1/studies/", files={"files": ("bulk.zip", packed)}, data={"department": department})
    return sent.raise_for_status().json()["url"]


def finished(by: httpx.Client, study: str) -> list[str]:
    """When each image of a study was finished."""
    assert clients.wait_final(by, study, 300)["status"] == "finished"
    images = by.get(f"{study}images/", params={"page_size": MANY}).raise_for_status().json()["results"]
    assert {image["status"] for image in images} == {"succeeded"}
    return [image["finished_at"] for image in images]


def test_a_departments_many_images_do_not_stop_the_few_of_another(service: Service) -> None:
    with clients.admin(service) as by:
        for slug in ("many", "few"):
            by.post("/api/v1/departments/", json={"name": slug.title(), "slug": slug}).raise_for_status()
        many = send(by, "many", MANY)
        while by.get(many).json()["counts"]["succeeded"] < 10:
            time.sleep(0.05)
        few = finished(by, send(by, "few", FEW))
        before = sum(moment < max(few) for moment in finished(by, many))
    print(f"\nof {MANY} images of one department {before} were read before the last of another's {FEW}")
    assert len(few) == FEW
    assert before < MANY / 2
