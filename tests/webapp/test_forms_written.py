"""The HTML that the project writes for forms and times equals what Django's own templates write."""

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from django import forms
from django.template.defaultfilters import date
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from webapp.dashboard.forms import ImageFilterForm, PlainInput, PlainSelect
from webapp.dashboard.templatetags.moments import moment


def attributes(html):
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, dict(attrs)))
    parser.feed(str(html))
    return found


@pytest.mark.parametrize("value", [None, "", 'a "quoted" <name> & more', "0"])
@pytest.mark.parametrize("attrs", [{}, {"type": "search", "placeholder": "Name"}, {"type": "date", "required": True}])
def test_an_input_has_the_attributes_that_django_gives_it(value, attrs):
    ours, djangos = (kind(attrs=attrs).render("x", value, {"id": "y"}) for kind in (PlainInput, forms.TextInput))
    assert attributes(ours) == attributes(djangos)


def test_a_select_has_the_options_that_django_gives_it():
    choices = [("", _("any")), ("a", "<b> & 'c'"), ('"', "x")]
    for value in (None, "a", '"', "none of them"):
        ours, djangos = (kind(choices=choices).render("x", value) for kind in (PlainSelect, forms.Select))
        assert attributes(ours) == attributes(djangos)
        assert ">&lt;b&gt; &amp; " in ours


def test_the_form_of_a_list_shows_the_requested_filters():
    form = ImageFilterForm({"search": "<b>", "created_after": "2026-03-01T10:00:00Z"}, [])
    assert attributes(form["search"])[0][1]["value"] == "<b>"
    assert attributes(form["created_after"])[0][1]["value"] == "2026-03-01"


@pytest.mark.parametrize("language", ["en", "ne"])
def test_a_time_is_written_as_django_writes_it(language):
    with translation.override(language):
        for month in range(1, 13):
            for _again in range(2):
                value = datetime(2026, month, 3, 4, 5, 6, tzinfo=UTC)
                local = timezone.localtime(value)
                text = f"{date(local, 'DATE_FORMAT')}, {date(local, 'H:i T')}"
                assert moment(value).endswith(f">{text}</time>")
                assert date(local, "H:i:s T") in moment(value, "seconds")
    assert moment(None) == ""
