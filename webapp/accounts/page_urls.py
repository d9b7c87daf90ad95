"""URLs of account pages, under ``/accounts/``. All others there are django-allauth's own."""

from django.urls import include, path

from webapp.accounts import pages

urlpatterns = [
    path("logout/", pages.SignOut.as_view(), name="account_logout"),
    path("sessions/", pages.Sessions.as_view(), name="usersessions_list"),
    path("tokens/", pages.tokens, name="account-tokens"),
    path("tokens/<int:pk>/revoke/", pages.revoke_token, name="account-token-revoke"),
    path("invitations/<str:key>/", pages.invitation, name="invitation"),
    path("", include("allauth.urls")),
]
