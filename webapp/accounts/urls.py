"""URLs of the API of accounts. Those of the pages are in :mod:`webapp.accounts.page_urls`."""

from django.urls import path

from webapp.accounts.views import TokenDetail, Tokens, TokenView

urlpatterns = [
    path("token/", TokenView.as_view(), name="token"),
    path("tokens/", Tokens.as_view(), name="api-tokens"),
    path("tokens/<int:pk>/", TokenDetail.as_view(), name="api-token"),
]
