"""The form of a destination shows what belongs to the chosen protocol and sign-in."""

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Page, expect

from tests.browser.harness import STATIC
from webapp.dicom.pages import DestinationForm

pytestmark = pytest.mark.browser

BOTH = {"name", "protocol", "sends", "enabled"}
DICOM = {"host", "port", "called_ae", "calling_ae", "tls", "commitment", "retrieves"}


def shown(page: Page) -> set[str]:
    fields = page.locator("form [name]").all()
    return {str(field.get_attribute("name")) for field in fields if field.is_visible()}


def open_form(page: Page, form: DestinationForm) -> None:
    style = (STATIC / "departments.css").read_text()
    fields = render_to_string("administration/_fields.html", {"form": form})
    page.set_content(f'<style>{style}</style><form class="form">{fields}</form>')


def test_only_what_the_protocol_and_the_sign_in_need_is_asked_for(page: Page) -> None:
    open_form(page, DestinationForm())
    assert shown(page) == BOTH | DICOM
    page.locator("[name=protocol]").select_option("stow")
    assert shown(page) == BOTH | {"url", "sign_in"}
    page.locator("[name=sign_in]").select_option("bearer")
    assert shown(page) == BOTH | {"url", "sign_in", "secret"}
    page.locator("[name=sign_in]").select_option("basic")
    assert shown(page) == BOTH | {"url", "sign_in", "sign_in_name", "secret"}


def test_a_field_with_a_mistake_stays_in_sight(page: Page) -> None:
    form = DestinationForm({"name": "PACS", "protocol": "stow", "host": "no host!", "port": "104"})
    open_form(page, form)
    expect(page.locator("[name=host]")).to_be_visible()
    expect(page.locator("[name=called_ae]")).to_be_hidden()
