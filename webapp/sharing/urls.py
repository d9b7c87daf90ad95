"""API URLs of shares."""

from django.urls import path

from webapp.sharing import api

urlpatterns = [
    path("api/v1/images/<uuid:pk>/shares/", api.ImageShares.as_view(), name="api-image-shares"),
    path("api/v1/images/<uuid:pk>/shares/<uuid:share>/", api.ImageShare.as_view(), name="api-image-share"),
    path("api/v1/studies/<uuid:pk>/shares/", api.StudyShares.as_view(), name="api-study-shares"),
    path("api/v1/studies/<uuid:pk>/shares/<uuid:share>/", api.StudyShare.as_view(), name="api-study-share"),
]
