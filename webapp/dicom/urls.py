"""The URLs of the pages for destinations, senders, rules and PACS searches."""

from django.urls import path

from webapp.dicom import pages, search_pages, settings_pages

ONE = "destinations/<uuid:pk>/"

urlpatterns = [
    path("departments/<slug:slug>/destinations/", pages.destinations, name="destinations"),
    path(ONE, pages.destination, name="destination"),
    path(f"{ONE}test/", pages.test, name="destination-test"),
    path(f"{ONE}delete/", pages.delete, name="destination-delete"),
    path(f"{ONE}deliveries/<uuid:delivery>/", pages.send_again, name="destination-send-again"),
    path("departments/<slug:slug>/senders/", settings_pages.senders, name="senders"),
    path("senders/<int:pk>/", settings_pages.sender, name="sender"),
    path("senders/<int:pk>/test/", settings_pages.test_sender, name="sender-test"),
    path("senders/<int:pk>/delete/", settings_pages.delete_sender, name="sender-delete"),
    path("departments/<slug:slug>/rules/", settings_pages.department_rules, name="rules"),
    path("rules/<uuid:pk>/", settings_pages.rule, name="rule"),
    path("rules/<uuid:pk>/delete/", settings_pages.delete_rule, name="rule-delete"),
    path("departments/<slug:slug>/pacs/", search_pages.pacs, name="pacs"),
    path("pacs-searches/<uuid:pk>/", search_pages.search, name="pacs-search"),
    path("retrievals/<uuid:pk>/cancel/", search_pages.cancel, name="retrieval-cancel"),
]
