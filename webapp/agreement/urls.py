"""The URLs of agreement with readers."""

from django.urls import path

from webapp.agreement import api, calibrating, views

urlpatterns = [
    path("agreement/", views.agreement, name="agreement"),
    path("agreement/table.csv", views.agreement_csv, name="agreement-csv"),
    path("agreement/report.pdf", views.agreement_pdf, name="agreement-pdf"),
    path("departments/<slug:slug>/calibration/", calibrating.calibration, name="calibration"),
    path("departments/<slug:slug>/calibration/<int:pk>/undo/", calibrating.undo, name="calibration-undo"),
    path("api/v1/agreement/", api.AgreementView.as_view(), name="api-agreement"),
]
