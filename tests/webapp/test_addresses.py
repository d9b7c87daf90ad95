"""Addresses of rows, which are made from one that is reversed once."""

from uuid import uuid4

from django.urls import reverse, set_script_prefix

from webapp.addresses import address


def test_a_row_has_the_address_that_django_gives_it():
    for route in ("image", "study", "patient", "worklist-image", "api-image-preview", "failure-image"):
        for _ in range(2):
            pk = uuid4()
            assert address(route, pk) == reverse(route, args=[pk])


def test_an_address_has_the_prefix_of_the_whole_site():
    pk = uuid4()
    assert address("image", pk) == f"/images/{pk}/"
    try:
        set_script_prefix("/xray/")
        assert address("image", pk) == f"/xray/images/{pk}/"
    finally:
        set_script_prefix("/")
    assert address("image", pk) == f"/images/{pk}/"
