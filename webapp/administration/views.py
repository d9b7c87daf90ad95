"""Pages of departments. A department does not exist for users who are not members of it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts import identity as identities
from webapp.accounts import invitations
from webapp.accounts.models import Invitation
from webapp.administration import forms, services
from webapp.departments import access, members, permissions
from webapp.departments import settings as department_settings
from webapp.departments.models import Department, Role
from webapp.http.caches import forget_pictures
from webapp.http.sentences import in_words
from webapp.ops.services import operating_points
from webapp.refusals import Refused
from webapp.studies.services import department_deletion


def _department(
    request: HttpRequest, slug: str, permission: permissions.DepartmentPermission = permissions.may_see_department
) -> Department:
    return access.visible_department(identities.identify(request), slug, permission)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def departments(request: HttpRequest) -> HttpResponse:
    """The user's departments; administrators see all, and can create one."""
    identity = identities.identify(request)
    form = forms.DepartmentForm(request.POST or None)
    if request.method == "POST":
        if not permissions.may_create_departments(identity):
            raise Refused("not_allowed", "Only administrators can create departments.")
        if form.is_valid():
            try:
                return redirect(department_settings.create(identity, **form.cleaned_data))
            except Refused as refused:
                form.add_error(None, in_words(refused.code, refused.detail))
    roles = permissions.roles(identity.user) if identity.user else {}
    visible = permissions.visible_departments(identity)
    context = {
        "departments": [(department, roles.get(department.pk)) for department in visible],
        "form": form if permissions.may_create_departments(identity) else None,
    }
    return render(request, "administration/departments.html", context, status=400 if form.errors else 200)


@require_safe
@login_required
@never_cache
def department(request: HttpRequest, slug: str) -> HttpResponse:
    """A department's members and, for its managers, its service accounts."""
    return _page(request, _department(request, slug))


def _page(request: HttpRequest, found: Department, status: int = 200, **more: Any) -> HttpResponse:
    identity = identities.identify(request)
    may_manage = permissions.may_manage(identity, found)
    context = {
        "department": found,
        "members": members.people(found),
        "invitations": members.invited(found) if may_manage else [],
        "accounts": members.service_accounts(found) if may_manage else [],
        "may_manage": may_manage,
        "may_search_pacs": permissions.may_search_pacs(identity, found),
        "may_delete": permissions.may_delete_department(identity, found),
        "roles": Role.choices,
        "member_form": forms.MemberForm(),
        "invitation_form": forms.InvitationForm(),
        "account_form": forms.ServiceAccountForm(),
        **more,
    }
    return render(request, "administration/department.html", context, status=status)


@require_POST
@login_required
def add_member(request: HttpRequest, slug: str) -> HttpResponse:
    found = _department(request, slug, permissions.may_manage)
    form = forms.MemberForm(request.POST)
    if form.is_valid():
        try:
            members.add_person(identities.identify(request), found, **form.cleaned_data)
            return redirect(found)
        except Refused as refused:
            form.add_error(None, in_words(refused.code, refused.detail))
    return _page(request, found, 400, member_form=form)


@require_POST
@login_required
@never_cache
def invite(request: HttpRequest, slug: str) -> HttpResponse:
    """Invite a person. Only this response shows the link."""
    found = _department(request, slug, permissions.may_manage)
    form = forms.InvitationForm(request.POST)
    if not form.is_valid():
        return _page(request, found, 400, invitation_form=form)
    invitation, link = members.invite(identities.identify(request), found, **form.cleaned_data)
    return _page(request, found, made=invitation, link=link)


@require_POST
@login_required
def revoke_invitation(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    identity = identities.identify(request)
    invitations.revoke(identity, Invitation.objects.filter(pk=access.invitation(identity, slug, pk).pk))
    return redirect("department", slug)


@require_POST
@login_required
def change_role(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    identity = identities.identify(request)
    member = access.membership(identity, slug, pk)
    form = forms.RoleForm(request.POST)
    if not form.is_valid():
        raise Refused("invalid_role", "There is no such role.")
    try:
        members.change_role(identity, member, form.cleaned_data["role"])
    except Refused as refused:
        messages.error(request, in_words(refused.code, refused.detail))
    return redirect(member.department)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def remove_member(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask for confirmation, and remove a member. Members also leave a department on this page."""
    identity = identities.identify(request)
    member = access.membership_to_end(identity, slug, pk)
    own = member.user_id == request.user.pk
    if request.method == "POST":
        try:
            members.remove(identity, member)
        except Refused as refused:
            messages.error(request, in_words(refused.code, refused.detail))
            return redirect(member.department)
        return redirect("departments" if own else member.department)
    context = {"member": member, "department": member.department, "own": own}
    return render(request, "administration/remove_member.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    found = _department(request, slug, permissions.may_manage)
    offered = operating_points()
    form = forms.SettingsForm(request.POST or None, instance=found, offered=offered)
    if request.method == "POST" and form.is_valid():
        try:
            stored = Department.objects.get(pk=found.pk)
            services.change_settings(identities.identify(request), stored, form.changes())
            return redirect(found)
        except Refused as refused:
            form.add_error(None, in_words(refused.code, refused.detail))
    context = {
        # Read again, because the form has assigned the submitted values to ``found``.
        "department": Department.objects.get(pk=found.pk),
        "form": form,
        "missing": bool(offered) and bool(found.operating_point) and found.operating_point not in offered,
    }
    return render(request, "administration/settings.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what is deleted together with a department, and delete it."""
    found = _department(request, slug, permissions.may_delete_department)
    if request.method == "POST":
        department_deletion.delete_department(found, identities.identify(request))
        return forget_pictures(redirect("departments"))
    by_model = department_deletion.count_of_department(found)
    counts = {str(model._meta.verbose_name_plural): number for model, number in by_model.items()}
    if number := members.service_accounts(found).count():
        counts["service accounts"] = number
    return render(request, "dashboard/delete.html", {"row": found, "counts": counts})


@require_POST
@login_required
def add_service_account(request: HttpRequest, slug: str) -> HttpResponse:
    found = _department(request, slug, permissions.may_manage)
    form = forms.ServiceAccountForm(request.POST)
    if form.is_valid():
        try:
            account = members.make_service_account(identities.identify(request), found, **form.cleaned_data)
            return redirect("service-account", slug, account.pk)
        except Refused as refused:
            form.add_error(None, in_words(refused.code, refused.detail))
    return _page(request, found, 400, account_form=form)
