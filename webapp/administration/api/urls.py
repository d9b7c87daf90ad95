"""API URLs of departments."""

from django.urls import path

from webapp.administration.api import views

DEPARTMENT = "api/v1/departments/<slug:slug>/"
ACCOUNT = f"{DEPARTMENT}service-accounts/<int:pk>/"

urlpatterns = [
    path("api/v1/departments/", views.Departments.as_view(), name="api-departments"),
    path(DEPARTMENT, views.DepartmentDetail.as_view(), name="api-department"),
    path(f"{DEPARTMENT}members/", views.Members.as_view(), name="api-members"),
    path(f"{DEPARTMENT}members/<int:pk>/", views.MemberDetail.as_view(), name="api-member"),
    path(f"{DEPARTMENT}invitations/", views.Invitations.as_view(), name="api-invitations"),
    path(f"{DEPARTMENT}invitations/<int:pk>/", views.InvitationDetail.as_view(), name="api-invitation"),
    path(f"{DEPARTMENT}service-accounts/", views.ServiceAccounts.as_view(), name="api-service-accounts"),
    path(ACCOUNT, views.ServiceAccountDetail.as_view(), name="api-service-account"),
    path(f"{ACCOUNT}tokens/", views.ServiceTokens.as_view(), name="api-service-tokens"),
    path(f"{ACCOUNT}tokens/<int:token>/", views.ServiceTokenDetail.as_view(), name="api-service-token"),
]
