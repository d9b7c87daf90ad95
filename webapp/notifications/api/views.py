"""API views of webhooks and e-mails. Users see and change their own webhooks."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveDestroyAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.accounts.identity import identify
from webapp.http.parsers import JSON_OR_FORM
from webapp.notifications import access, services
from webapp.notifications.api.serializers import (
    DeliverySerializer,
    NewWebhookSerializer,
    SentEventSerializer,
    WebhookSerializer,
)
from webapp.notifications.models import Webhook
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.outbox.models import Delivery

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class Webhooks(ListAPIView):
    """Your webhooks."""

    parser_classes = JSON_OR_FORM
    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)
    serializer_class = WebhookSerializer
    queryset = Webhook.objects.none()
    ordering = "created_at"

    def get_queryset(self) -> Any:
        return Webhook.objects.filter(user=cast("User", self.request.user))

    @extend_schema(request=WebhookSerializer, responses={201: NewWebhookSerializer})
    def post(self, request: Request) -> Response:
        """Add a webhook. Its secret is shown only now."""
        serializer = WebhookSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        webhook, secret = services.create_webhook(identify(request), **serializer.validated_data)
        return Response({**WebhookSerializer(webhook).data, "secret": secret}, status=201)


@extend_schema_view(delete=extend_schema(summary="Delete a webhook, to which nothing more is sent"))
class WebhookDetail(RetrieveDestroyAPIView):
    """One of your webhooks."""

    permission_classes = (IsAuthenticated,)
    serializer_class = WebhookSerializer
    queryset = Webhook.objects.none()

    def get_queryset(self) -> Any:
        return Webhook.objects.filter(user=cast("User", self.request.user))

    def perform_destroy(self, instance: Webhook) -> None:
        services.delete_webhook(identify(self.request), instance)


class WebhookDeliveries(ListAPIView):
    """Deliveries to a webhook of yours or of a department that you manage, latest first, with each attempt."""

    permission_classes = (IsAuthenticated,)
    serializer_class = DeliverySerializer
    queryset = Delivery.objects.none()
    ordering = "-created_at"

    def get_queryset(self) -> Any:
        webhook = access.webhook(identify(self.request), self.kwargs["pk"])
        return Delivery.objects.filter(destination=str(webhook.pk))


class Emails(ListAPIView):
    """The e-mails to you and to departments that you manage, latest first, with each attempt."""

    permission_classes = (IsAuthenticated,)
    serializer_class = DeliverySerializer
    queryset = Delivery.objects.none()
    ordering = "-created_at"

    def get_queryset(self) -> Any:
        return access.emails(identify(self.request))


class WebhookTest(GenericAPIView):
    """Send a webhook the event ``webhook.test``."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)
    queryset = Webhook.objects.none()

    def get_queryset(self) -> Any:
        return Webhook.objects.filter(user=cast("User", self.request.user))

    @extend_schema(request=None, responses={202: SentEventSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        return Response({"id": services.send_test(self.get_object())}, status=202)
