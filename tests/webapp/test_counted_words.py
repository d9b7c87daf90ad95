"""The words for numbers of images with the same result group fit every image that they count."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from webapp.departments.models import Department
from webapp.studies.choices import Status
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db

OUTSIDE = {"code": "age_outside_training", "detail": "The patient is 64 years old."}
NO_ANSWER = "No answer: not usable, or another age or view"
MIXED = "No signs of pneumonia found; other ages and views may be among them"


@pytest.fixture
def study(make_department, make_study, user, read):
    """Make a department's study with two adults whose scores are low."""

    def make(*, label_outside_training=False):
        department = make_department("radiology", manager=user)
        Department.objects.update(label_outside_training=label_outside_training)
        new_study = make_study(Status.READY, Status.READY, department=department, uploaded_by=user)
        read(*new_study.images.all(), pneumonia=0.02, warnings=(OUTSIDE,))
        return new_study

    return make


@pytest.fixture
def browser(user):
    client = Client()
    client.force_login(user)
    return client


def chips(browser: Any, url: str) -> list[tuple[str, str]]:
    """The CSS classes and words of the counts on a page, apart from those that are not of a result."""
    page = browser.get(url).content.decode()
    found = re.findall(r'<a class="chip tag ([a-z]*)"[^>]*><strong>2</strong> ([^<]*)</a>', page)
    return [(tone, words) for tone, words in found if words != "All"]


@pytest.mark.parametrize("label_outside_training", [False, True])
def test_images_of_other_ages_are_not_counted_as_free_of_signs_or_as_no_x_rays(study, browser, label_outside_training):
    found = study(label_outside_training=label_outside_training)
    expected = ("", MIXED) if label_outside_training else ("unusable", NO_ANSWER)
    for url in (found.get_absolute_url(), reverse("worklist"), f"{reverse('worklist')}?department=radiology"):
        assert chips(browser, url) == [expected], url
    page = browser.get(reverse("studies")).content.decode()
    tone, words = ("", "negative, any age or view") if label_outside_training else ("unusable", "without an answer")
    assert f'<span class="tag {tone}"><strong>2</strong> {words}<span class="unseen">: {expected[1]}</span>' in page


def test_negative_images_are_green_where_only_reliable_ones_get_a_label(
    make_department, make_study, user, read, browser
):
    make_department("other")
    Department.objects.update(label_outside_training=True)
    found = make_study(Status.READY, Status.READY, department=make_department("radiology", manager=user))
    read(*found.images.all(), pneumonia=0.02)
    for url in (found.get_absolute_url(), reverse("worklist")):
        assert chips(browser, url) == [("negative", "No signs of pneumonia found")], url


def test_an_image_on_which_a_reader_is_not_sure_does_not_have_to_be_read_first(study, user, browser):
    found = study()
    Image.objects.update(group="unclear", verdict="UNSURE", reviewed=True, stage="done")
    assert chips(browser, found.get_absolute_url()) == [("unclear", "Unclear")]
