"""URLs of rows, which are built from one URL per route that is reversed only once."""

from uuid import uuid4

from django.urls import reverse, set_script_prefix

from webapp.addresses import address


def test_an_address_equals_the_one_that_reverse_returns():
    for route in ("image", "study", "patient", "worklist-image", "api-image-preview", "failure-image"):
        for _ in range(2):
            pk = uuid4()
            assert address(route, pk) == reverse(route, args=[pk])


def test_an_address_includes_the_sites_script_prefix():
    pk = uuid4()
    assert address("image", pk) == f"/images/{pk}/"
    try:
        set_script_prefix("/xray/")
        assert address("image", pk) == f"/xray/images/{pk}/"
    finally:
        set_script_prefix("/")
    assert address("image", pk) == f"/images/{pk}/"
