"""The pages' URLs."""

from django.urls import path

from webapp.dashboard import audit, editing, lists, patients, people, searches, shares, studies, views
from webapp.dashboard.report.views import ImageReport, image_report

urlpatterns = [
    path("", views.home, name="home"),
    path("accounts/invitations/", people.invitations, name="invitations"),
    path("accounts/invitations/<int:pk>/revoke/", people.revoke_invitation, name="invitation-revoke"),
    path("accounts/delete/", people.delete_account, name="account-delete"),
    path("audit/", audit.audit, name="audit"),
    path("audit/audit.csv", audit.audit_csv, name="audit-csv"),
    path("upload/", views.upload, name="upload"),
    path("images/", lists.images, name="images"),
    path("images/<uuid:pk>/", views.image, name="image"),
    path("images/<uuid:pk>/card/", views.image_card, name="image-card"),
    path("images/<uuid:pk>/cancel/", views.image_cancel, name="image-cancel"),
    path("images/<uuid:pk>/delete/", views.image_delete, name="image-delete"),
    path("images/<uuid:pk>/edit/", editing.image_edit, name="image-edit"),
    path("images/<uuid:pk>/retry/", editing.image_retry, name="image-retry"),
    path("images/<uuid:pk>/share/", shares.image_share, name="image-share"),
    path("images/<uuid:pk>/review/", views.image_review, name="image-review"),
    path("images/<uuid:pk>/report.pdf", image_report, name="image-report"),
    path("api/v1/images/<uuid:pk>/report.pdf", ImageReport.as_view(), name="api-image-report"),
    path("studies/", lists.studies, name="studies"),
    path("studies/<uuid:pk>/", studies.study, name="study"),
    path("studies/<uuid:pk>/progress/", studies.study_progress, name="study-progress"),
    path("studies/<uuid:pk>/cancel/", views.study_cancel, name="study-cancel"),
    path("studies/<uuid:pk>/delete/", views.study_delete, name="study-delete"),
    path("patients/", patients.listing, name="patients"),
    path("patients/new/", patients.new, name="patient-new"),
    path("patients/<uuid:pk>/", patients.patient, name="patient"),
    path("patients/<uuid:pk>/edit/", patients.edit, name="patient-edit"),
    path("patients/<uuid:pk>/merge/", patients.merge, name="patient-merge"),
    path("patients/<uuid:pk>/delete/", patients.delete, name="patient-delete"),
    path("studies/<uuid:pk>/edit/", editing.study_edit, name="study-edit"),
    path("studies/<uuid:pk>/retry/", editing.study_retry, name="study-retry"),
    path("studies/<uuid:pk>/share/", shares.study_share, name="study-share"),
    path("saved-views/", searches.save, name="saved-views"),
    path("saved-views/<int:pk>/", searches.edit, name="saved-view"),
    path("shared/", shares.shared_with_me, name="shared-with-me"),
    path("shared/<str:token>/", shares.link, name="shared-link"),
    path("shared/<str:token>/images/<uuid:pk>/", shares.link_image, name="shared-link-image"),
    path("shared/<str:token>/images/<uuid:pk>/preview/", shares.link_preview, name="shared-link-preview"),
    path("shared/<str:token>/images/<uuid:pk>/heatmap.png", shares.link_heatmap, name="shared-link-heatmap"),
]
