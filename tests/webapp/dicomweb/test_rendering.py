"""A picture is rendered at the size and quality that the query asks for (PS3.18 8.3.5.1)."""

import io

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image as Picture

from tests import dicomweb
from tests.webapp.dicomweb.test_retrieving import address, dicom_file
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(scanner) -> str:
    """The URL of an instance of 800 by 400 pixels, whose preview is half as wide and high, and brighter at the top."""
    dicomweb.store(scanner, dicomweb.body(dicom_file()))
    pixels = np.zeros((200, 400), dtype=np.uint8)
    pixels[:, 200:] = 100
    pixels[:100] += 100
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "JPEG", quality=95)
    name = default_storage.save("previews/a.jpg", ContentFile(stream.getvalue()))
    Image.objects.update(preview=name, width=800, height=400)
    return f"{address(Image.objects.get())}/rendered"


def shown(answer) -> Picture.Image:
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg"), answer.content
    return Picture.open(io.BytesIO(answer.content))


@pytest.mark.parametrize(
    ("viewport", "size", "corners"),
    [
        ("100,100", (100, 50), (100, 200, 0, 100)),
        ("1000,300", (600, 300), (100, 200, 0, 100)),
        ("100,100,400,0,200,200", (100, 100), (200, 200, 200, 200)),
        ("100,100,,200", (100, 25), (0, 100, 0, 100)),
        ("100,100,600,,400", (50, 100), (200, 200, 100, 100)),
        ("100,100,0,0,-800,400", (100, 50), (200, 100, 100, 0)),
        ("100,100,,,,-400", (100, 50), (0, 100, 100, 200)),
        ("100,100,0.5,0.5,1.5,3", (50, 100), (100, 100, 100, 100)),
    ],
)
def test_a_region_of_the_instance_fits_into_the_viewport(scanner, url, viewport, size, corners):
    picture = shown(scanner.get(f"{url}?viewport={viewport}", headers={"Accept": "image/jpeg"}))
    width, height = size
    places = [(1, 1), (width - 2, 1), (1, height - 2), (width - 2, height - 2)]
    assert (picture.size, picture.mode) == (size, "L")
    assert [picture.getpixel(place) for place in places] == pytest.approx(corners, abs=6)


def test_a_lower_quality_needs_fewer_bytes(scanner, url, problem):
    sizes = [len(scanner.get(f"{url}?quality={quality}").content) for quality in (1, 50, 100)]
    assert sizes == sorted(set(sizes))
    assert shown(scanner.get(f"{url}?quality=1&viewport=80,80")).size == (80, 40)
    problem(scanner.get(f"{url}?quality=50", headers={"Accept": "image/png"}), 406, "representation_not_available")
    first, other = scanner.get(f"{url}?quality=50"), scanner.get(f"{url}?quality=51")
    assert scanner.get(f"{url}?quality=50", headers={"If-None-Match": first["ETag"]}).status_code == 304
    assert first["ETag"] != other["ETag"]


@pytest.mark.parametrize(
    "query",
    [
        "quality=0", "quality=101", "quality=", "quality=9.5", "quality=-1", "quality=٣", "quality=5&quality=6",
        "viewport=", "viewport=10", "viewport=,10", "viewport=10,", "viewport=0,10", "viewport=-5,10", "viewport=10,a",
        "viewport=4097,10", "viewport=10,99999", "viewport=1.5,10", "viewport=1,1,1,1,1,1,1", "viewport=1,1,nan",
        "viewport=1,1,1e3", "viewport=1,1,-1", "viewport=1,1,800", "viewport=1,1,0,400", "viewport=1,1,0,0,0,1",
        "viewport=1,1&viewport=1,1",
    ],
)  # fmt: skip
def test_malformed_parameters_are_refused(scanner, url, problem, query):
    problem(scanner.get(f"{url}?{query}"), 400, "invalid_parameter")


def test_the_preview_must_exist_and_be_undamaged(scanner, url, problem):
    Image.objects.update(preview_sha256="0" * 64)
    problem(scanner.get(f"{url}?quality=50"), 409, "file_damaged")
    default_storage.delete("previews/a.jpg")
    problem(scanner.get(f"{url}?quality=50"), 404, "not_found")
