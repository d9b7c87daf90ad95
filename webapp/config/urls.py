"""The root URL configuration."""

from django.contrib import admin
from django.urls import include, path

from webapp.http import problems
from webapp.http.schema_view import SchemaView

handler400 = problems.bad_request
handler404 = problems.not_found
handler429 = problems.too_many_requests
handler500 = problems.server_error

urlpatterns = [
    # First, because most requests are uploads and requests that wait for results.
    path("", include("webapp.studies.api.urls")),
    path("", include("webapp.dashboard.urls")),
    path("", include("webapp.queues.urls")),
    path("", include("webapp.agreement.urls")),
    path("", include("webapp.administration.urls")),
    path("", include("webapp.administration.api.urls")),
    path("", include("webapp.ops.urls")),
    path("", include("webapp.resumable.urls")),
    path("", include("webapp.reviews.api.urls")),
    path("", include("webapp.sharing.urls")),
    path("", include("webapp.searches.urls")),
    path("", include("webapp.notifications.api.urls")),
    path("", include("webapp.notifications.pages.urls")),
    path("", include("webapp.fhir.urls")),
    path("", include("webapp.dicom.api.urls")),
    path("", include("webapp.dicom.urls")),
    path("dicomweb/", include("webapp.dicom.web.urls")),
    path("api/v1/auth/", include("webapp.accounts.urls")),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("accounts/", include("webapp.accounts.page_urls")),
    path("admin/", admin.site.urls),
]
