"""The pages' URLs."""

from django.urls import path

from webapp.dashboard import patients, people, views

urlpatterns = [
    path("", views.home, name="home"),
    path("accounts/invitations/", people.invitations, name="invitations"),
    path("accounts/invitations/<int:pk>/revoke/", people.revoke_invitation, name="invitation-revoke"),
    path("accounts/delete/", people.delete_account, name="account-delete"),
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
    path("patients/", patients.listing, name="patients"),
    path("patients/new/", patients.new, name="patient-new"),
    path("patients/<uuid:pk>/", patients.patient, name="patient"),
    path("patients/<uuid:pk>/edit/", patients.edit, name="patient-edit"),
    path("patients/<uuid:pk>/merge/", patients.merge, name="patient-merge"),
    path("patients/<uuid:pk>/delete/", patients.delete, name="patient-delete"),
]
