"""The URLs of agreement with readers."""

from django.urls import path

from webapp.agreement import api, views

urlpatterns = [
    path("agreement/", views.agreement, name="agreement"),
    path("agreement/table.csv", views.agreement_csv, name="agreement-csv"),
    path("agreement/report.pdf", views.agreement_pdf, name="agreement-pdf"),
    path("api/v1/agreement/", api.AgreementView.as_view(), name="api-agreement"),
]
