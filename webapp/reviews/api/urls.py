"""API URLs of reviews."""

from django.urls import path

from webapp.reviews.api import views, worklist

urlpatterns = [
    path("api/v1/images/<uuid:pk>/reviews/", views.Reviews.as_view(), name="api-image-reviews"),
    path("api/v1/reviews/export.zip", views.Export.as_view(), name="api-reviews-export"),
    path("api/v1/worklist/", worklist.WorklistView.as_view(), name="api-worklist"),
]
