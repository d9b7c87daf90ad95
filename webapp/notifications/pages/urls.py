"""URLs of the pages of notifications."""

from django.urls import path

from webapp.notifications.pages import choices, emails, failures, news, webhooks

urlpatterns = [
    path("news/", news.news, name="news"),
    path("news/read/", news.read, name="news-read"),
    path("notifications/", choices.choices, name="notifications"),
    path("departments/<slug:slug>/notifications/", choices.choices, name="department-notifications"),
    path("notifications/emails/", emails.emails, name="emails"),
    path("notifications/webhooks/", webhooks.add, name="webhook-add"),
    path("departments/<slug:slug>/webhooks/", webhooks.add, name="department-webhook-add"),
    path("webhooks/<uuid:pk>/", webhooks.webhook, name="webhook"),
    path("webhooks/<uuid:pk>/test/", webhooks.test, name="webhook-test"),
    path("webhooks/<uuid:pk>/delete/", webhooks.delete, name="webhook-delete"),
    path("webhooks/<uuid:pk>/deliveries/<uuid:delivery>/", webhooks.send_again, name="webhook-send-again"),
    path("failures/", failures.failures, name="failures"),
    path("failures/images/<uuid:pk>/", failures.acknowledge_image, name="failure-image"),
    path("failures/archives/<uuid:pk>/", failures.acknowledge_archive, name="failure-archive"),
    path("failures/deliveries/<uuid:pk>/", failures.settle_delivery, name="failure-delivery"),
]
