"""The pages' URLs."""

from django.urls import path

from webapp.accounts.views import SignOut
from webapp.dashboard import audit, views

urlpatterns = [
    path("", views.home, name="home"),
    path("accounts/logout/", SignOut.as_view(), name="logout"),
    path("audit/", audit.audit, name="audit"),
    path("audit/audit.csv", audit.audit_csv, name="audit-csv"),
    path("upload/", views.upload, name="upload"),
    path("images/<uuid:pk>/", views.image, name="image"),
    path("images/<uuid:pk>/card/", views.image_card, name="image-card"),
    path("images/<uuid:pk>/cancel/", views.image_cancel, name="image-cancel"),
    path("images/<uuid:pk>/delete/", views.image_delete, name="image-delete"),
    path("images/<uuid:pk>/review/", views.image_review, name="image-review"),
    path("studies/<uuid:pk>/", views.study, name="study"),
    path("studies/<uuid:pk>/progress/", views.study_progress, name="study-progress"),
    path("studies/<uuid:pk>/cancel/", views.study_cancel, name="study-cancel"),
    path("studies/<uuid:pk>/delete/", views.study_delete, name="study-delete"),
]
