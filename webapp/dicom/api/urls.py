"""The URLs of the API for destinations, PACS searches and de-identified exports."""

from django.urls import path

from webapp.dicom.api import exports, searches, views

ONE = "api/v1/destinations/<uuid:pk>/"

urlpatterns = [
    path("api/v1/studies/<uuid:pk>/deidentified.zip", exports.Deidentified.as_view(), name="api-study-deidentified"),
    path("api/v1/departments/<slug:slug>/destinations/", views.Destinations.as_view(), name="api-destinations"),
    path(ONE, views.DestinationDetail.as_view(), name="api-destination"),
    path(f"{ONE}test/", views.DestinationTest.as_view(), name="api-destination-test"),
    path(f"{ONE}deliveries/", views.DestinationDeliveries.as_view(), name="api-destination-deliveries"),
    path("api/v1/departments/<slug:slug>/pacs/", searches.PacsList.as_view(), name="api-pacs"),
    path("api/v1/departments/<slug:slug>/pacs/searches/", searches.Searches.as_view(), name="api-pacs-searches"),
    path("api/v1/pacs-searches/<uuid:pk>/", searches.SearchDetail.as_view(), name="api-pacs-search"),
    path("api/v1/pacs-searches/<uuid:pk>/retrievals/", searches.Retrievals.as_view(), name="api-retrievals"),
    path("api/v1/retrievals/<uuid:pk>/cancel/", searches.RetrievalCancel.as_view(), name="api-retrieval-cancel"),
]
