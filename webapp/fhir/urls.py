"""The URL of results as FHIR."""

from django.urls import path

from webapp.fhir.api import StudyFHIR

urlpatterns = [path("api/v1/studies/<uuid:pk>/fhir/", StudyFHIR.as_view(), name="api-study-fhir")]
