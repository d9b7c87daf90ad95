"""API URLs of saved views."""

from django.urls import path

from webapp.searches import api

urlpatterns = [
    path("api/v1/saved-views/", api.SavedViews.as_view(), name="api-saved-views"),
    path("api/v1/saved-views/<int:pk>/", api.SavedViewDetail.as_view(), name="api-saved-view"),
]
