"""The heat map over an image: who may see it, how it is drawn, and how a browser may cache it."""

import io
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image as Picture

from tests.webapp.clients import Client
from webapp.accounts.identity import Identity, make_token
from webapp.studies.choices import Status
from webapp.studies.files import heatmaps
from webapp.studies.models import Image, Study

pytestmark = pytest.mark.django_db

#: A map of 2 by 2 values, strong in the lower left.
MAP = bytes([0, 0, 255, 0])


@pytest.fixture
def image(make_image: Any, read: Any, guest: Identity) -> Image:
    created: Image = make_image(Status.READY, guest=guest.guest, width=400, height=200, ready_at=timezone.now())
    read(created, heatmap=MAP)
    created.refresh_from_db()
    return created


def url(image: Image) -> str:
    return f"/api/v1/images/{image.pk}/heatmap.png"


def headers(guest: Identity) -> dict[str, str]:
    assert guest.guest
    return {"X-Job-Token": make_token(guest.guest)}


def test_a_map_is_drawn_over_the_whole_image(client: Client, image: Image, guest: Identity) -> None:
    metadata = client.get(f"/api/v1/images/{image.pk}/", headers=headers(guest)).json()
    assert metadata["heatmap_url"] == f"http://testserver{url(image)}"
    answer = client.get(metadata["heatmap_url"], headers=headers(guest))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/png"
    with Picture.open(io.BytesIO(answer.content)) as picture:
        assert (picture.mode, picture.size, picture.format) == ("RGBA", (400, 200), "PNG")
        alpha = picture.getchannel("A")
        assert picture.getpixel((10, 10))[:3] == heatmaps.COLOUR
    assert alpha.getpixel((20, 180)) == 255
    assert [alpha.getpixel(place) for place in ((20, 20), (380, 20), (380, 180))] == [0, 0, 0]


def test_a_map_covers_only_the_part_that_was_read(client: Client, image: Image, guest: Identity) -> None:
    """In a picture with a border, the map's lower left corner is that of the X-ray, not that of the picture."""
    whole = client.get(url(image), headers=headers(guest))
    image.readings.update(region=[100, 50, 300, 150])
    answer = client.get(url(image), headers=headers(guest))
    assert answer["ETag"] != whole["ETag"]
    with Picture.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (400, 200)
        alpha = picture.getchannel("A")
    assert alpha.getpixel((105, 145)) == 255
    assert [alpha.getpixel(place) for place in ((95, 145), (105, 155), (20, 180), (290, 60))] == [0, 0, 0, 0]
    left, top, right, bottom = alpha.getbbox() or (0, 0, 0, 0)
    assert (left, bottom) == (100, 150)
    assert (right, top) <= (300, 150)


def test_a_line_goes_around_the_strongest_part(image: Image) -> None:
    values = bytes(255 if 4 <= number % 14 < 9 and 4 <= number // 14 < 9 else 40 for number in range(196))
    with Picture.open(io.BytesIO(heatmaps.png(values, 700, 700))) as picture:
        across = [picture.getpixel((x, 325)) for x in range(325)]
    changes = [pixel[:3] for number, pixel in enumerate(across) if number == 0 or pixel[:3] != across[number - 1][:3]]
    assert changes == [heatmaps.COLOUR, heatmaps.LINE, heatmaps.EDGE, heatmaps.COLOUR], "a light line with a dark edge"
    line = [x for x, pixel in enumerate(across) if pixel[:3] == heatmaps.LINE]
    assert 190 < line[0] < 215
    with Picture.open(io.BytesIO(heatmaps.png(bytes(196), 700, 700))) as empty:
        assert empty.getchannel("A").getextrema() == (0, 0)


def test_the_line_is_computed_around_the_strongest_part_only(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    blur = Picture.Image.filter
    monkeypatch.setattr(Picture.Image, "filter", lambda self, kind: sizes.append(self.size) or blur(self, kind))
    heatmaps.png(bytes(255 if number == 100 else 0 for number in range(196)), 1000, 1000)
    assert sizes
    assert max(max(size) for size in sizes) < 150


def test_a_map_is_as_large_as_the_preview(image: Image) -> None:
    with Picture.open(io.BytesIO(heatmaps.png(MAP, 3000, 2000))) as picture:
        assert picture.size == (1000, 667)


@pytest.mark.parametrize("values", [b"", b"123"])
def test_values_that_form_no_square_are_refused(values: bytes) -> None:
    with pytest.raises(ValueError, match="no square"):
        heatmaps.png(values, 100, 100)


def test_only_those_who_may_see_an_image_see_its_map(
    client: Client, user_client: Client, staff_client: Client, image: Image, problem: Any
) -> None:
    for other in (client, user_client):
        problem(other.get(url(image)), 404, "not_found")
    assert staff_client.get(url(image)).status_code == 200


def test_there_is_no_map_before_there_is_a_result(
    client: Client, make_image: Any, guest: Identity, problem: Any
) -> None:
    waiting = make_image(Status.READY, guest=guest.guest, width=4, height=2)
    problem(client.get(url(waiting), headers=headers(guest)), 404, "no_heatmap")
    assert client.get(f"/api/v1/images/{waiting.pk}/", headers=headers(guest)).json()["heatmap_url"] is None


def test_a_result_that_was_stored_without_a_map_has_none(
    client: Client, make_image: Any, read: Any, guest: Identity, problem: Any
) -> None:
    old = make_image(Status.READY, guest=guest.guest, width=4, height=2)
    read(old)
    problem(client.get(url(old), headers=headers(guest)), 404, "no_heatmap")
    assert client.get(f"/api/v1/images/{old.pk}/", headers=headers(guest)).json()["heatmap_url"] is None


def test_a_browser_caches_a_map_privately_and_need_not_fetch_it_twice(
    client: Client, image: Image, guest: Identity
) -> None:
    first = client.get(url(image), headers=headers(guest))
    assert "private" in first["Cache-Control"]
    assert first["X-Content-Type-Options"] == "nosniff"
    again = client.get(url(image), headers={**headers(guest), "If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "private" in again["Cache-Control"]
    other = client.get(url(image), headers={**headers(guest), "If-None-Match": '"another"'})
    assert other.status_code == 200
    assert other.content == first.content


@pytest.mark.parametrize("kind", ["map", "preview"])
def test_a_part_of_a_picture_can_be_requested(client: Client, image: Image, guest: Identity, kind: str) -> None:
    preview = default_storage.save("previews/p.jpg", ContentFile(bytes(range(256)) * 400))
    Image.objects.filter(pk=image.pk).update(preview=preview)
    address = url(image) if kind == "map" else f"/api/v1/images/{image.pk}/preview/"

    def ask(byte_range: str, **more: str) -> Any:
        return client.get(address, headers={**headers(guest), "Range": byte_range, **more})

    whole = client.get(address, headers=headers(guest))
    content = whole.getvalue()
    size = len(content)
    assert (whole["Accept-Ranges"], whole.status_code) == ("bytes", 200)
    for byte_range, start, end in (
        ("bytes=0-0", 0, 0), ("bytes=10-99", 10, 99), ("bytes=50-", 50, size - 1), ("bytes=-7", size - 7, size - 1),
        (f"bytes=5-{size + 9}", 5, size - 1), ("bytes=-999999999", 0, size - 1), ("bytes = 1-2", 1, 2),
    ):  # fmt: skip
        part = ask(byte_range)
        assert (part.status_code, part["Content-Range"]) == (206, f"bytes {start}-{end}/{size}")
        assert part.content == content[start : end + 1]
        assert (part["ETag"], part["Content-Type"]) == (whole["ETag"], whole["Content-Type"])
        assert "private" in part["Cache-Control"]
    for byte_range in (f"bytes={size}-", "bytes=-0"):
        refused = ask(byte_range)
        assert (refused.status_code, refused["Content-Range"]) == (416, f"bytes */{size}")
    for byte_range in ("bytes=5-2", "bytes=a-b", "bytes=-", "lines=1-2", "bytes=0-1,4-5", "bytes=" + "9" * 30 + "-"):
        assert ask(byte_range).getvalue() == content
    assert ask("bytes=0-1", **{"If-Range": whole["ETag"]}).status_code == 206
    assert ask("bytes=0-1", **{"If-Range": '"another"'}).status_code == 200
    assert ask("bytes=0-1", **{"If-None-Match": whole["ETag"]}).status_code == 304


def test_a_result_and_its_table_carry_the_warnings(client: Client, make_study: Any, read: Any, guest: Identity) -> None:
    study: Study = make_study(Status.READY, Status.READY, guest=guest.guest)
    doubtful, fine = study.images.order_by("filename")
    warnings = [{"code": "not_chest_xray", "detail": "No chest."}, {"code": "other", "detail": "Something else."}]
    read(doubtful, warnings=warnings)
    read(fine)
    assert client.get(f"/api/v1/images/{doubtful.pk}/", headers=headers(guest)).json()["warnings"] == warnings
    assert client.get(f"/api/v1/images/{fine.pk}/", headers=headers(guest)).json()["warnings"] == []
    table = client.get(f"/api/v1/studies/{study.pk}/results.csv", headers=headers(guest))
    names, *rows = [line.split(",") for line in table.getvalue().decode().splitlines()]
    assert [row[names.index("warnings")] for row in rows] == ["not_chest_xray other", ""]
