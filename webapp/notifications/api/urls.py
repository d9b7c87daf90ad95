"""API URLs of webhooks and e-mails."""

from django.urls import path

from webapp.notifications.api import views

urlpatterns = [
    path("api/v1/webhooks/", views.Webhooks.as_view(), name="api-webhooks"),
    path("api/v1/webhooks/<uuid:pk>/", views.WebhookDetail.as_view(), name="api-webhook"),
    path("api/v1/webhooks/<uuid:pk>/deliveries/", views.WebhookDeliveries.as_view(), name="api-webhook-deliveries"),
    path("api/v1/emails/", views.Emails.as_view(), name="api-emails"),
    path("api/v1/webhooks/<uuid:pk>/test/", views.WebhookTest.as_view(), name="api-webhook-test"),
]
