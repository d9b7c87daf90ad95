"""The form of a destination shows only the fields for the chosen protocol and sign-in."""

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Page, expect

from tests.browser.harness import STATIC
from webapp.dicom.pages import DestinationForm

pytestmark = pytest.mark.browser

COMMON = {"name", "protocol", "sends", "enabled"}
DICOM = {"host", "port", "called_ae", "calling_ae", "tls", "commitment", "retrieves"}


def visible_fields(page: Page) -> set[str]:
    fields = page.locator("form [name]").all()
    return {str(field.get_attribute("name")) for field in fields if field.is_visible()}


def open_form(page: Page, form: DestinationForm) -> None:
    style = (STATIC / "departments.css").read_text()
    fields = render_to_string("administration/_fields.html", {"form": form})
    page.set_content(f'<style>{style}</style><form class="form">{fields}</form>')


def test_only_fields_for_the_protocol_and_the_sign_in_are_shown(page: Page) -> None:
    open_form(page, DestinationForm())
    assert visible_fields(page) == COMMON | DICOM
    page.locator("[name=protocol]").select_option("stow")
    assert visible_fields(page) == COMMON | {"url", "sign_in"}
    page.locator("[name=sign_in]").select_option("bearer")
    assert visible_fields(page) == COMMON | {"url", "sign_in", "secret"}
    page.locator("[name=sign_in]").select_option("basic")
    assert visible_fields(page) == COMMON | {"url", "sign_in", "sign_in_name", "secret"}


def test_a_field_with_an_error_stays_visible(page: Page) -> None:
    form = DestinationForm({"name": "PACS", "protocol": "stow", "host": "no host!", "port": "104"})
    open_form(page, form)
    expect(page.locator("[name=host]")).to_be_visible()
    expect(page.locator("[name=called_ae]")).to_be_hidden()
