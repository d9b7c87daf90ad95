"""The URLs of the pages of destinations."""

from django.urls import path

from webapp.dicom import pages

ONE = "destinations/<uuid:pk>/"

urlpatterns = [
    path("departments/<slug:slug>/destinations/", pages.destinations, name="destinations"),
    path(ONE, pages.destination, name="destination"),
    path(f"{ONE}test/", pages.test, name="destination-test"),
    path(f"{ONE}delete/", pages.delete, name="destination-delete"),
    path(f"{ONE}deliveries/<uuid:delivery>/", pages.send_again, name="destination-send-again"),
]
