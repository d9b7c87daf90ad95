"""The worklist: order, pagination and filters, who has an image open, and the HTML pages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.webapp.rows import radiologists
from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.http.walks import Walks
from webapp.reviews import opening, services
from webapp.reviews.models import Opening, Review
from webapp.reviews.sections import RANKS, SECTIONS, rank_of_row
from webapp.reviews.worklist import Worklist
from webapp.studies.choices import Status
from webapp.studies.models import Image, Study
from webapp.studies.services import deletion

pytestmark = pytest.mark.django_db

POSITIVE, UNCLEAR, NEGATIVE = 0.9, 0.3, 0.1
NO_CHEST = [{"code": "not_chest_xray", "detail": "It looks like something else."}]


@pytest.fixture
def reader(user: User) -> Identity:
    return Identity(user=user)


@pytest.fixture
def department(make_department: Callable[..., Department], user: User) -> Department:
    return make_department("radiology", reader=user)


@pytest.fixture
def add(department: Department, make_image: Callable[..., Image], read: Callable[..., None]) -> Callable[..., Image]:
    """Make images that the model has read, uploaded some hours ago."""

    def make(name: str, pneumonia: float = POSITIVE, hours: float = 0, **fields: Any) -> Image:
        warnings = fields.pop("warnings", [])
        owner = {} if "owner" in fields else {"department": fields.pop("department", department)}
        new_image = make_image(Status.READY, filename=name, **owner, **fields)
        read(new_image, pneumonia=pneumonia, warnings=warnings)
        Image.objects.filter(pk=new_image.pk).update(created_at=timezone.now() - timedelta(hours=hours))
        new_image.refresh_from_db()
        return new_image

    return make


def names(identity: Identity, **filters: Any) -> list[str]:
    return [image.filename for image in Worklist(identity, filters).page(50).rows]


def test_the_order_is_stat_then_suspicion_then_age(reader, add):
    add("new positive")
    add("old positive", hours=2)
    add("negative", NEGATIVE, hours=9)
    add("unclear", UNCLEAR, hours=5)
    add("no chest", POSITIVE, hours=7, warnings=NO_CHEST)
    add("stat negative", NEGATIVE, stat=True)
    add("stat positive", stat=True)
    expected = ["stat positive", "stat negative", "old positive", "new positive", "unclear", "no chest", "negative"]
    assert names(reader) == expected
    assert names(reader, stat="true") == expected[:2]
    assert names(reader, group="positive") == ["stat positive", "old positive", "new positive"]
    assert names(reader, waiting_hours=5) == ["unclear", "no chest", "negative"]
    assert names(reader, stage="done") == []


def test_a_reviewed_image_leaves_the_list_and_is_found_by_stage_and_by_its_verdicts_group(reader, add):
    judged, other = add("judged"), add("other")
    services.review(judged, reader, "NORMAL")
    assert names(reader) == ["other"]
    assert names(reader, stage="done") == ["judged"]
    assert names(reader, stage="done", group="negative") == ["judged"]
    worklist = Worklist(reader, {})
    judged.refresh_from_db()
    assert worklist.neighbours(judged) == (None, other.pk), "it keeps its place for a reader who goes back to it"
    assert worklist.neighbours(other) == (None, None)


def test_pages_forwards_and_back_cover_every_image_once_across_sections(reader, add, user):
    own_images = [add(f"own {number}", POSITIVE, number, owner=user) for number in range(2)]
    for number in range(7):
        add(f"{number}", (POSITIVE, UNCLEAR, NEGATIVE)[number % 3], hours=number, stat=number == 4)
    everything = names(reader)
    assert everything == ["4", "6", "3", "0", "1", "5", "2"]
    worklist, seen, cursor = Worklist(reader, {}), [], ""
    pages = []
    while True:
        page = worklist.page(2, cursor or None)
        pages.append([image.filename for image in page.rows])
        seen += pages[-1]
        if not page.next:
            break
        cursor = page.next
    assert seen == everything
    back = worklist.page(2, page.previous)
    assert [image.filename for image in back.rows] == pages[-2]
    assert not worklist.page(2, worklist.page(2, back.previous).previous).previous
    user.groups.add(radiologists())  # radiologists may review every image that they may see
    radiologist = Identity(user=User.objects.get(pk=user.pk))
    assert set(names(radiologist)) == {*everything, *(image.filename for image in own_images)}
    assert names(radiologist)[:3] == ["4", "6", "3"]


def test_the_images_of_one_study_have_the_same_order(reader, add, department):
    study = Study.objects.create(department=department)
    add("elsewhere")
    inside = [add(f"{n}", (NEGATIVE, POSITIVE, UNCLEAR)[n % 3], hours=n, study=study, stat=n == 3) for n in range(5)]
    order = ["3", "4", "1", "2", "0"]
    assert names(reader, study=study.pk) == order
    worklist = Worklist(reader, {"study": study.pk})
    first = worklist.page(2)
    second = worklist.page(2, first.next)
    assert [image.filename for image in second.rows] == order[2:4]
    assert [image.filename for image in worklist.page(2, second.previous).rows] == order[:2]
    before, after = worklist.neighbours(inside[1])
    assert [before, after] == [inside[4].pk, inside[2].pk]
    assert sum(worklist.counts().values()) == 5


def test_a_reader_sees_nothing_of_another_departments_study(add, reader, make_department):
    elsewhere = make_department("er")
    study = Study.objects.create(department=elsewhere)
    add("theirs", department=elsewhere, study=study)
    worklist = Worklist(reader, {"study": study.pk})
    assert not worklist.page(5).rows
    assert not worklist.counts()
    page = Client()
    page.force_login(reader.user)
    assert b"No image matches these filters" in page.get(f"/worklist/?study={study.pk}").content


def test_the_database_computes_the_same_ranks(make_image, guest):
    for section in SECTIONS:
        make_image(Status.SUCCEEDED, guest=guest.guest, **section)
    found = Image.objects.annotate(rank=rank_of_row()).values_list("stage", "stat", "group", "rank")
    assert {tuple(section): rank for *section, rank in found} == RANKS


def test_the_list_is_empty_for_users_who_may_not_review(add, make_department, make_image, read):
    uploader = User.objects.create_user("up")
    add("a")
    elsewhere = make_department("er", uploader=uploader)
    add("b", department=elsewhere)
    assert names(Identity(user=uploader)) == []
    assert names(Identity(user=User.objects.create_user("nobody"))) == []
    page = Client()
    page.force_login(uploader)
    assert b"You have no images to review" in page.get("/worklist/").content


def test_the_statement_of_a_walk_is_built_once_for_all_users(add, reader, make_department, monkeypatch):
    first, second = add("older", hours=3), add("newer", hours=1)
    assert Worklist(reader, {}).neighbours(first) == (None, second.pk)
    monkeypatch.setattr(Walks, "_write", lambda *_: pytest.fail("the statement is built again"))
    other = User.objects.create_user("bob")
    second.department.memberships.create(user=other, role="reader")
    make_department("another", reader=other)
    assert Worklist(Identity(user=other), {}).neighbours(second) == (first.pk, None)
    assert Worklist(Identity(user=other), {"waiting_hours": 2}).neighbours(second) == (first.pk, None)
    assert Worklist(Identity(user=other), {"waiting_hours": 2}).neighbours(first) == (None, None)


def test_the_api_has_the_same_order_pages_and_filters(user_client, add, problem):
    for number in range(3):
        add(f"{number}", (NEGATIVE, POSITIVE, UNCLEAR)[number])
    first = user_client.get("/api/v1/worklist/", {"page_size": 2}).json()
    assert [image["filename"] for image in first["results"]] == ["1", "2"]
    assert first["results"][0]["opened_by"] == []
    assert [image["filename"] for image in user_client.get(first["next"]).json()["results"]] == ["0"]
    problem(user_client.get("/api/v1/worklist/", {"colour": "red"}), 400, "unknown_parameter")
    problem(user_client.get("/api/v1/worklist/", {"cursor": "x"}), 400, "invalid_cursor")
    problem(user_client.get("/api/v1/worklist/", {"department": "no-such"}), 404, "department_not_found")
    answer = user_client.get("/api/v1/worklist/", {"department": "radiology", "stage": "unread"})
    assert len(answer.json()["results"]) == 3


@pytest.mark.parametrize("where", ["page", "api"])
def test_the_number_of_queries_does_not_grow_with_the_images(add, user, user_client, where):
    page: Any = Client()
    page.force_login(user)

    def ask() -> int:
        with CaptureQueriesContext(connection) as queries:
            client, path = (page, "/worklist/") if where == "page" else (user_client, "/api/v1/worklist/")
            assert client.get(path).status_code == 200
        return len(queries)

    for number in range(2):
        opening.keep_open(add(f"{number}", stat=True), User.objects.create_user(f"r{number}"))
    ask()
    few = ask()
    for number in range(2, 12):
        opening.keep_open(add(f"{number}", (POSITIVE, NEGATIVE)[number % 2]), User.objects.create_user(f"r{number}"))
    assert ask() == few


# --- who has an image open ------------------------------------------------------------------------------------------


def test_opening_and_reviewing_an_image_read_few_of_its_columns(add, user, department):
    page: Any = Client()
    page.force_login(user)
    Department.objects.update(second_reading=True)
    image = add("a")
    with CaptureQueriesContext(connection) as open_queries:
        assert page.post(f"/worklist/images/{image.pk}/open/").status_code == 200
    with CaptureQueriesContext(connection) as review_queries:
        answer = page.put(f"/api/v1/images/{image.pk}/reviews/", {"verdict": "NORMAL"}, content_type="application/json")
    assert answer.status_code == 200
    image.refresh_from_db()
    assert (image.stage, image.group) == ("second", "positive")
    for queries, expected in ((open_queries, 0), (review_queries, 1)):
        statements = [query["sql"] for query in queries.captured_queries if query["sql"].startswith("SELECT")]
        assert not [sql for sql in statements if "filename" in sql], "not all columns of the image are read"
        assert len([sql for sql in statements if "studies_reading" in sql]) == expected


def test_a_second_reader_is_told_that_an_image_is_open_but_not_locked_out(add, user, department):
    image, bob = add("a"), User.objects.create_user("bob")
    department.memberships.create(user=bob, role="reader")
    clients = {}
    for account in (user, bob):
        clients[account.username] = Client()
        clients[account.username].force_login(account)
    path = f"/worklist/images/{image.pk}/"
    assert clients["ada"].post(f"{path}open/").json() == {"stage": "unread", "readers": []}
    (other,) = clients["bob"].post(f"{path}open/").json()["readers"]
    assert other["name"] == "ada"
    assert b"ada has it open since" in clients["bob"].get(path).content
    assert b"ada has it open since" in clients["bob"].get("/worklist/").content
    assert b"bob has it open since" in clients["ada"].get(path).content
    assert clients["bob"].post(f"/images/{image.pk}/review/", {"verdict": "NORMAL"}).status_code == 302


def test_an_opening_ends_after_its_lease_or_when_the_reader_moves_on(add, user, monkeypatch):
    image, other, bob = add("a"), add("b"), User.objects.create_user("bob")
    opening.keep_open(image, user)
    since = Opening.objects.get().opened_at
    opening.keep_open(image, user)
    assert Opening.objects.get().opened_at == since
    opening.keep_open(other, user, left=image.pk)
    assert not opening.by_others([image], bob)
    assert [one["reader"] for one in opening.by_others([other], bob)] == [user.username]
    later = timezone.now() + opening.LEASE
    monkeypatch.setattr(opening.timezone, "now", lambda: later)
    assert not opening.by_others([other], bob)
    opening.keep_open(image, bob)
    assert Opening.objects.get().user == bob, "expired openings are deleted"


# --- the HTML pages -------------------------------------------------------------------------------------------------


def test_the_page_of_an_image_and_its_verdict_lead_to_the_next_image(add, user):
    first, second = add("first", hours=2), add("second")
    page = Client()
    page.force_login(user)
    listed = page.get("/worklist/?group=positive").content.decode()
    assert f"/worklist/images/{first.pk}/?group=positive" in listed
    after = f"/worklist/images/{second.pk}/?group=positive"
    shown = page.get(f"/worklist/images/{first.pk}/?group=positive").content.decode()
    assert f'id="next" class="button quiet small" href="{after}"' in shown
    answer = page.post(f"/images/{first.pk}/review/", {"verdict": "PNEUMONIA", "kind": "viral", "then": after})
    assert answer["Location"] == after
    last = page.get(after).content.decode()
    assert 'id="next"' not in last
    elsewhere = page.post(f"/images/{second.pk}/review/", {"verdict": "NORMAL", "then": "https://evil.example/"})
    assert elsewhere["Location"] == f"/images/{second.pk}/"
    assert b"Everything is read" in page.get("/worklist/").content


def test_a_reader_marks_chosen_images_of_their_department(add, user, make_department):
    images = [add("a"), add("b", NEGATIVE)]
    elsewhere = add("c", department=make_department("er"))
    page = Client()
    page.force_login(user)
    keys = [str(image.pk) for image in (*images, elsewhere)]
    answer = page.post("/worklist/mark/", {"images": keys, "action": "stat", "query": "group=positive"})
    assert answer["Location"] == "/worklist/?group=positive"
    assert list(Image.objects.filter(stat=True).order_by("filename").values_list("filename", flat=True)) == ["a", "b"]
    page.post("/worklist/mark/", {"images": keys[:1], "action": "routine"})
    assert Image.objects.get(stat=True).filename == "b"
    assert page.post("/worklist/mark/", {"images": ["x"], "action": "stat"}).status_code == 404
    assert page.post("/worklist/mark/", {"images": keys, "action": "explode"}).status_code == 404


def test_a_view_of_the_worklist_can_be_saved(user):
    page = Client()
    page.force_login(user)
    saved = page.post("/saved-views/", {"list": "worklist", "name": "Mine", "query": "group=positive&waiting_hours=4"})
    assert saved["Location"] == "/worklist/?group=positive&waiting_hours=4"
    assert b"Mine" in page.get("/worklist/").content
    assert page.post("/saved-views/", {"list": "worklist", "name": "No", "query": "label=NORMAL"}).status_code == 400


# --- STAT -----------------------------------------------------------------------------------------------------------


def test_stat_set_at_upload_or_later_makes_waiting_images_interactive(user_client, user, make_image, sent):
    upload = user_client.upload(stat="true", priority="bulk").json()
    assert (upload["stat"], upload["priority"]) == (True, "interactive")
    study = user_client.upload_study({"a.jpg": b"x"}, stat="true").json()
    assert study["stat"]
    assert Image.objects.get(study=study["id"]).stat
    queued = make_image(Status.QUEUED, owner=user, priority="bulk")
    ready = make_image(Status.READY, owner=user, priority="bulk")
    held = make_image(Status.READY, owner=user, priority="bulk")
    held.readings.update(state="held", turn=1e12)

    def patch(image: Image, stat: bool) -> Any:
        url = f"/api/v1/images/{image.pk}/"
        return user_client.patch(url, {"stat": stat}, content_type="application/json").json()

    for image in (queued, ready, held):
        answer = patch(image, True)
        assert (answer["stat"], answer["priority"]) == (True, "interactive")
    assert set(held.readings.values_list("state", "priority")) == {("ready", "interactive")}
    assert not patch(held, False)["stat"]


def test_a_study_that_becomes_stat_makes_its_images_stat(user_client, user, make_study):
    study = make_study(Status.QUEUED, Status.FAILED, owner=user)
    url = f"/api/v1/studies/{study.pk}/"
    assert user_client.patch(url, {"stat": True}, content_type="application/json").json()["stat"]
    assert set(study.images.values_list("stat", "status", "priority")) == {
        (True, "queued", "interactive"), (True, "failed", "bulk"),
    }  # fmt: skip
    user_client.force_login(user)
    assert b'value="true" selected' in user_client.get(f"/studies/{study.pk}/edit/").content
    user_client.post(f"/studies/{study.pk}/edit/", {"name": "w", "patient": "", "stat": "false"})
    assert not study.images.filter(stat=True).exists()


def test_deleting_an_image_deletes_its_openings(add, user):
    image = add("a")
    opening.keep_open(image, user)
    Review.objects.create(image=image, reviewer=user, verdict="NORMAL")
    deletion.delete_image(image)
    assert not Opening.objects.exists()
