"""URLs of resumable uploads."""

from django.urls import path

from webapp.resumable import api

urlpatterns = [
    path("api/v1/uploads/", api.Uploads.as_view(), name="api-uploads"),
    path("api/v1/uploads/<uuid:pk>/", api.UploadDetail.as_view(), name="api-upload"),
]
