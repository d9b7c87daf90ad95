"""The pages of images and studies, saved views, and a study's page."""

import html
import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from webapp.searches.models import SavedSearch
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient, Study


@pytest.fixture
def browser(new_client, user):
    client = new_client()
    client.force_login(user)
    return client


def get_page(browser, url, **params):
    answer = browser.get(url, params)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def names(page):
    return re.findall(r'<div class="entry-name">\s*<a [^>]*>([^<]*)</a>', page)


@pytest.fixture
def images(user, make_image, read, make_department):
    department = make_department(manager=user)
    patient = Patient.objects.create(owner=user, identifier="P-7")
    created = [
        make_image(owner=user, filename="alpha.png", patient=patient),
        make_image(department=department, filename="beta.png"),
        make_image(Status.FAILED, owner=user, filename="gamma.png", error_code="x", error_detail="It is damaged."),
    ]
    for image, probability in zip(created, (0.95, 0.1), strict=False):
        read(image, pneumonia=probability)
    make_image(filename="secret.png")
    return created


def test_the_list_shows_each_images_result_patient_department_and_error(browser, images):
    page = get_page(browser, "/images/")
    assert names(page) == ["gamma.png", "beta.png", "alpha.png"]
    for text in ("Signs of pneumonia", "95.0 %", "No signs of pneumonia found", "10.0 %", "P-7", "Radiology",
                 "It is damaged."):  # fmt: skip
        assert text in page
    assert "secret.png" not in page


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"search": "al"}, ["alpha.png"]),
        ({"search": "P-7"}, ["alpha.png"]),
        ({"group": "negative"}, ["beta.png"]),
        ({"status": "failed", "group": "", "search": " "}, ["gamma.png"]),
        ({"patient": "P-7", "group": "positive"}, ["alpha.png"]),
        ({"department": "radiology"}, ["beta.png"]),
        ({"ordering": "created_at", "reviewed": "false"}, ["alpha.png", "beta.png", "gamma.png"]),
        ({"created_before": "2026-01-01"}, []),
    ],
)
def test_the_form_filters_images(browser, images, params, found):
    page = get_page(browser, "/images/", **params)
    assert names(page) == found
    for name, value in params.items():
        if value.strip():
            assert f'name="{name}"' in page
    assert ("No image matches these filters." in page) is not found


@pytest.mark.parametrize("query", ["group=bad", "x=1", "cursor=x", "created_after=soon", "department=none", "page=2"])
@pytest.mark.parametrize("url", ["/images/", "/studies/"])
def test_an_invalid_query_shows_an_error(browser, images, url, query):
    answer = browser.get(f"{url}?{query}")
    assert answer.status_code == (404 if query == "department=none" else 400)
    assert 'role="alert"' in answer.content.decode()
    assert names(answer.content.decode()) == []


def test_pages_link_to_older_and_newer_images(browser, user, make_image, monkeypatch):
    monkeypatch.setattr("webapp.dashboard.lists.PAGE", 2)
    for n in range(5):
        make_image(Status.FAILED, owner=user, filename=f"{n}.png")
    page, seen = get_page(browser, "/images/?status=failed"), []
    while True:
        seen.append(names(page))
        older = re.findall(r'href="([^"]*)">Older<', page)
        if not older:
            break
        page = get_page(browser, html.unescape(older[0]))
    assert seen == [["4.png", "3.png"], ["2.png", "1.png"], ["0.png"]]
    (newer,) = re.findall(r'href="([^"]*)">Newer<', page)
    assert names(get_page(browser, html.unescape(newer))) == ["2.png", "1.png"]
    oldest = get_page(browser, "/images/?status=failed&ordering=created_at")
    assert names(oldest) == ["0.png", "1.png"]
    assert "Newer" in oldest
    assert "Older" not in oldest


def test_empty_lists_say_what_to_do(client, browser):
    for visitor in (client, browser):
        assert "There are no images yet" in get_page(visitor, "/images/")
        assert "There are no studies yet" in get_page(visitor, "/studies/")


def test_a_guest_has_lists_too(client, new_client):
    client.upload(filename="mine.jpg")
    assert names(get_page(client, "/images/")) == ["mine.jpg"]
    assert names(get_page(new_client(), "/images/")) == []
    assert "Save this view" not in get_page(client, "/images/?status=queued")


def test_studies_are_listed_with_their_results(browser, user, make_study, read, django_assert_max_num_queries):
    for name in ("ward 1", "ward 2"):
        study = make_study(Status.QUEUED, Status.QUEUED, Status.QUEUED, Status.FAILED, owner=user, name=name)
        waiting = list(study.images.filter(status=Status.QUEUED))
        read(waiting[0], waiting[1], pneumonia=0.95)
        read(waiting[2], pneumonia=0.3)
    with django_assert_max_num_queries(16):
        page = get_page(browser, "/studies/")
    assert names(page) == ["ward 2", "ward 1"]
    assert page.count("<strong>2</strong> positive") == page.count("<strong>1</strong> unclear") == 2
    assert names(get_page(browser, "/studies/?search=ward 1")) == ["ward 1"]
    assert names(get_page(browser, "/studies/?status=running")) == []


def test_the_home_page_leads_to_the_lists(client):
    client.upload()
    client.upload_study({"a.jpg": b"x", "b.jpg": b"y"})
    page = get_page(client, "/")
    assert f'href="{reverse("images")}">All images' in page
    assert f'href="{reverse("studies")}">All studies' in page


def test_a_page_of_five_images_takes_as_many_queries_as_a_page_of_one(
    browser, user, make_image, read, django_assert_num_queries
):
    def add():
        image = make_image(owner=user, patient=Patient.objects.get_or_create(owner=user, identifier="P")[0])
        read(image)

    add()
    get_page(browser, "/images/")  # the audit records the first view
    with django_assert_num_queries(9):
        get_page(browser, "/images/")
    for _ in range(4):
        add()
    get_page(browser, "/images/")  # the audit records the first view
    with django_assert_num_queries(9):
        get_page(browser, "/images/")


# --- a study ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def study(user, make_study, read):
    study = make_study(*[Status.QUEUED] * 4, Status.FAILED, owner=user)
    for image, probability in zip(study.images.order_by("created_at"), (0.3, 0.95, 0.1, 0.9), strict=False):
        read(image, pneumonia=probability)
    return study


def files(page):
    return re.findall(r">(\d\.jpg)<", page)


def test_the_images_of_a_study_are_filtered_and_sorted(browser, study):
    url = study.get_absolute_url()
    page = get_page(browser, url)
    assert files(page) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    for text in ("<strong>2</strong> Signs of pneumonia", "<strong>1</strong> Unclear", "<strong>1</strong> No signs",
                 "<strong>1</strong> Could not be read"):  # fmt: skip
        assert text in page
    assert files(get_page(browser, url, ordering="-probability")) == ["1.jpg", "3.jpg", "0.jpg", "2.jpg", "4.jpg"]
    assert files(get_page(browser, url, ordering="probability")) == ["2.jpg", "0.jpg", "3.jpg", "1.jpg", "4.jpg"]
    assert files(get_page(browser, url, group="positive", ordering="probability")) == ["3.jpg", "1.jpg"]
    assert files(get_page(browser, url, status="failed")) == ["4.jpg"]
    assert browser.get(url, {"group": "bad"}).status_code == 400


def test_a_page_that_waits_for_changes_keeps_its_filters(browser, user, make_study):
    study = make_study(Status.QUEUED, owner=user)
    page = get_page(browser, study.get_absolute_url(), ordering="-probability")
    (url,) = re.findall(r'hx-get="([^"]*)"', page)
    assert "ordering=-probability" in url
    assert browser.get(html.unescape(url).replace("wait=25", "wait=0")).status_code == 200


def test_files_are_added_to_a_study_from_its_page(browser, study, jpeg, user):
    from django.core.files.uploadedfile import SimpleUploadedFile

    page = get_page(browser, study.get_absolute_url())
    assert "Add files to this study" in page
    sent = {"files": SimpleUploadedFile("more.jpg", jpeg), "study": str(study.pk), "page_user": str(user.pk)}
    assert browser.post("/upload/", sent).url == study.get_absolute_url()
    assert study.images.filter(filename="more.jpg").count() == 1
    for other in (str(Study.objects.create(guest=study.pk).pk), "x"):
        sent = {"files": SimpleUploadedFile("more.jpg", jpeg), "study": other}
        assert browser.post("/upload/", sent).status_code == 404
    assert Image.objects.filter(filename="more.jpg").count() == 1


def test_a_study_and_an_image_are_edited(browser, study):
    page = f"{study.get_absolute_url()}edit/"
    assert 'name="patient"' in get_page(browser, page)
    assert browser.post(page, {"name": "ward 9", "patient": "P-9"}).url == study.get_absolute_url()
    study.refresh_from_db()
    assert (study.name, study.patient.identifier) == ("ward 9", "P-9")
    assert browser.post(page, {"name": "x" * 256}).status_code == 400
    image = study.images.get(filename="4.jpg")
    page = f"{image.get_absolute_url()}edit/"
    assert "priority" not in get_page(browser, page)
    browser.post(page, {"patient": ""})
    image.refresh_from_db()
    assert image.patient is None


def test_buttons_retry_failed_images(browser, study, sent):
    assert "Try the failed ones again" in get_page(browser, study.get_absolute_url())
    image = study.images.get(filename="4.jpg")
    assert "Try again" in get_page(browser, image.get_absolute_url())
    assert browser.post(f"{image.get_absolute_url()}retry/").url == image.get_absolute_url()
    assert len(sent.images) == 1
    assert browser.post(f"{study.get_absolute_url()}retry/").status_code == 302
    assert len(sent.images) == 1


# --- saved views ------------------------------------------------------------------------------------------------------


def save(browser, **fields):
    form = {"list": "images", "query": "group=positive&search=al", "name": "To do", **fields}
    return browser.post("/saved-views/", form)


def test_filters_are_saved_renamed_and_deleted(browser, images, user):
    page = get_page(browser, "/images/?search=al&group=positive")
    (form,) = re.findall(r'<a href="([^"]*)">Save this view', page)
    (query,) = re.findall(r'name="query" value="([^"]*)"', get_page(browser, html.unescape(form)))
    answer = save(browser, query=html.unescape(query))
    assert names(get_page(browser, answer.url)) == ["alpha.png"]
    saved = SavedSearch.objects.get()
    assert "To do" in get_page(browser, "/images/")
    assert "To do" not in get_page(browser, "/studies/")
    edit = f"/saved-views/{saved.pk}/"
    assert f'href="{edit}"' in get_page(browser, "/saved-views/?list=images")
    assert browser.post(edit, {"name": "Read first"}).url == answer.url
    assert "Read first" in get_page(browser, "/images/")
    save(browser, name="Other")
    assert browser.post(edit, {"name": "Other"}).status_code == 400
    assert browser.post(edit, {"name": " "}).status_code == 400
    browser.post(edit, {"delete": "1"})
    assert list(SavedSearch.objects.values_list("name", flat=True)) == ["Other"]


def test_a_view_with_the_same_name_replaces_the_old_one(browser, images):
    save(browser)
    save(browser, query="status=failed")
    assert SavedSearch.objects.get().query == "status=failed"


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"query": "x=1"}, 400), ({"query": "group=bad"}, 400), ({"name": " "}, 400), ({"list": "patients"}, 404),
     ({"department": "x"}, 404), ({"department": "00000000-0000-0000-0000-000000000001"}, 403)],
)  # fmt: skip
def test_an_invalid_view_is_refused(browser, images, fields, status):
    assert save(browser, **fields).status_code == status
    assert not SavedSearch.objects.exists()


def test_a_list_links_to_a_few_saved_views_and_a_page_lists_all(browser, images, user, make_department):
    department = make_department("ward", manager=user)
    for number in range(20):
        save(browser, name=f"theirs {number:02}", department=str(department.pk))
    save(browser, name="z, my own")
    page = get_page(browser, "/images/")
    assert "z, my own" in page, "one's own views come first"
    assert page.count("theirs ") == 11
    assert get_page(browser, "/saved-views/?list=images").count("Rename or delete") == 21
    assert "theirs" not in get_page(browser, "/saved-views/?list=studies")


def test_a_manager_saves_a_view_for_all_members(browser, new_client, user, make_department):
    reader, other = User.objects.create_user("reader"), User.objects.create_user("other")
    department = make_department(manager=user, reader=reader)
    assert save(browser, department=str(department.pk)).status_code == 302
    saved = SavedSearch.objects.get()
    for person, sees, status in ((reader, True, 403), (other, False, 404)):
        client = new_client()
        client.force_login(person)
        assert ("To do" in get_page(client, "/images/")) is sees
        assert client.post(f"/saved-views/{saved.pk}/", {"delete": "1"}).status_code == status
        assert save(client, department=str(department.pk)).status_code == 403
    assert browser.post(f"/saved-views/{saved.pk}/", {"delete": "1"}).status_code == 302
    assert not SavedSearch.objects.exists()


def test_guests_cannot_save_views(client):
    assert save(client).url.startswith("/accounts/login/")
    assert not SavedSearch.objects.exists()
