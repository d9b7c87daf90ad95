"""URLs of the pages of departments."""

from django.urls import path

from webapp.administration import service_accounts, views

DEPARTMENT = "departments/<slug:slug>/"
ACCOUNT = f"{DEPARTMENT}service-accounts/<int:pk>/"

urlpatterns = [
    path("departments/", views.departments, name="departments"),
    path(DEPARTMENT, views.department, name="department"),
    path(f"{DEPARTMENT}settings/", views.settings, name="department-settings"),
    path(f"{DEPARTMENT}delete/", views.delete, name="department-delete"),
    path(f"{DEPARTMENT}members/", views.add_member, name="member-add"),
    path(f"{DEPARTMENT}members/<int:pk>/", views.change_role, name="member-role"),
    path(f"{DEPARTMENT}members/<int:pk>/remove/", views.remove_member, name="member-remove"),
    path(f"{DEPARTMENT}invitations/", views.invite, name="member-invite"),
    path(f"{DEPARTMENT}invitations/<int:pk>/revoke/", views.revoke_invitation, name="department-invitation-revoke"),
    path(f"{DEPARTMENT}service-accounts/", views.add_service_account, name="service-account-add"),
    path(ACCOUNT, service_accounts.service_account, name="service-account"),
    path(f"{ACCOUNT}delete/", service_accounts.delete, name="service-account-delete"),
    path(f"{ACCOUNT}tokens/<int:token>/revoke/", service_accounts.revoke_token, name="service-token-revoke"),
]
