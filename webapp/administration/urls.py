"""The pages' URLs."""

from django.urls import path

from webapp.administration import service_accounts, views

ONE = "departments/<slug:slug>/"
ACCOUNT = f"{ONE}service-accounts/<int:pk>/"

urlpatterns = [
    path("departments/", views.departments, name="departments"),
    path(ONE, views.department, name="department"),
    path(f"{ONE}settings/", views.settings, name="department-settings"),
    path(f"{ONE}delete/", views.delete, name="department-delete"),
    path(f"{ONE}members/", views.add_member, name="member-add"),
    path(f"{ONE}members/<int:pk>/", views.change_role, name="member-role"),
    path(f"{ONE}members/<int:pk>/remove/", views.remove_member, name="member-remove"),
    path(f"{ONE}invitations/", views.invite, name="member-invite"),
    path(f"{ONE}invitations/<int:pk>/revoke/", views.revoke_invitation, name="department-invitation-revoke"),
    path(f"{ONE}service-accounts/", views.add_service_account, name="service-account-add"),
    path(ACCOUNT, service_accounts.service_account, name="service-account"),
    path(f"{ACCOUNT}delete/", service_accounts.delete, name="service-account-delete"),
    path(f"{ACCOUNT}tokens/<int:token>/revoke/", service_accounts.revoke_token, name="service-token-revoke"),
]
