"""Save, rename and find named filters of lists."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.refusals import Refused
from webapp.searches.models import List, SavedSearch
from webapp.studies.api.filters import PAGING, Filters, ImageFilters, StudyFilters, WorklistFilters
from webapp.studies.files import names
from webapp.studies.transactions import atomically

#: The filters of each list.
FILTERS: dict[List, type[Filters]] = {
    List.IMAGES: ImageFilters,
    List.STUDIES: StudyFilters,
    List.WORKLIST: WorklistFilters,
}
#: Largest number of saved views of one list for each person, and for each department.
MAX_SAVED = 50


def visible_to(user: User) -> "QuerySet[SavedSearch]":
    """The user's own saved searches, and those of their departments, by name."""
    visible = Q(user=user) | Q(department__in=permissions.roles(user))
    return SavedSearch.objects.filter(visible).select_related("department").order_by("name", "pk")


def of_list(user: User, list_: str) -> "QuerySet[SavedSearch, Any]":
    """The values that pages show of a list's saved searches: the user's own first, then by department."""
    own_first = F("department__name").asc(nulls_first=True)
    searches = visible_to(user).filter(list=list_).order_by(own_first, "name", "pk")
    return searches.values("pk", "name", "query", "department", "department__name")


def save(user: User, list_: str, name: str, filters: Mapping[str, str], department: UUID | None = None) -> SavedSearch:
    """Save filters under a name, replacing those that had the same name.

    Args:
        user: the owner, or a manager of the department.
        list_: one of :class:`webapp.searches.models.List`.
        name: the name.
        filters: the parameters of the list's address, already checked by :data:`FILTERS`.
        department: the department whose members will all have them, if any.

    Raises:
        Refused: ``name_missing``, ``invalid_parameter``, ``not_allowed`` or ``too_many_searches``.
    """
    name = names.clean(name)[:100]
    if not name:
        raise Refused("name_missing", "Please give the view a name.")
    query = urlencode({name: value for name, value in filters.items() if name not in PAGING})
    if len(query) > 1000:
        raise Refused("invalid_parameter", "These filters are too long to be saved.")
    owner: dict[str, Any] = {"user": user}
    if department:
        owner = {"department": _managed(user, department)}
    return _store(owner, list_, name, query)


@atomically
def _store(owner: dict[str, Any], list_: str, name: str, query: str) -> SavedSearch:
    same = SavedSearch.objects.filter(**owner, list=list_)
    if not same.filter(name=name).exists() and same.count() >= MAX_SAVED:
        raise Refused("too_many_searches", f"A list can have {MAX_SAVED} saved views. Please delete one first.")
    saved, _ = SavedSearch.objects.update_or_create(**owner, list=list_, name=name, defaults={"query": query})
    return saved


def changeable(user: User, pk: int) -> SavedSearch | None:
    """A saved search that the user may rename and delete: their own, or one of a department that they manage.

    Returns:
        None if it does not exist or the user may not see it.

    Raises:
        Refused: ``not_allowed`` for a member of the department who does not manage it.
    """
    saved = visible_to(user).filter(pk=pk).first()
    if saved and saved.department_id:
        _managed(user, saved.department_id)
    return saved


@atomically
def rename(saved: SavedSearch, name: str) -> None:
    """Rename a saved search.

    Raises:
        Refused: ``name_missing``, or ``name_taken`` if another saved search has this name.
    """
    name = names.clean(name)[:100]
    if not name:
        raise Refused("name_missing", "Please give the view a name.")
    same = SavedSearch.objects.filter(user=saved.user_id, department=saved.department_id, list=saved.list, name=name)
    if same.exclude(pk=saved.pk).exists():
        raise Refused("name_taken", "A saved view with this name already exists.")
    SavedSearch.objects.filter(pk=saved.pk).update(name=name)


def _managed(user: User, pk: UUID) -> Department:
    department = Department.objects.filter(pk=pk).first()
    if department is None or not permissions.may_manage(Identity(user=user), department):
        raise Refused("not_allowed", "Only managers of a department can save views for all of its members.")
    return department
