"""API views of tus. They translate between its headers and the services."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.http.links import LinkField, link
from webapp.refusals import Refused
from webapp.resumable import protocol, services
from webapp.resumable.models import State, Upload
from webapp.studies.api.once import KEY
from webapp.studies.api.serializers import ArchiveErrorSerializer, ErrorSerializer
from webapp.studies.api.serializers.studies import SentBeforeSerializer
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.api.views import TOKEN
from webapp.studies.services import idempotency


def _header(name: str, description: str, kind: Any = str, *, required: bool = True) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, required=required)


VERSION = _header("Tus-Resumable", "the protocol's version, 1.0.0")
LENGTH = _header("Upload-Length", "bytes of the whole file", int)
OFFSET = _header("Upload-Offset", "bytes that have come already", int)
METADATA = _header("Upload-Metadata", "keys and their values in base64, as tus has it", required=False)
CHECKSUM = _header("Upload-Checksum", "sha1, sha256 or md5, and the part's digest in base64", required=False)


@extend_schema_field({"type": "string", "format": "uri", "nullable": True})
class CreatedLink(serializers.Field):
    """The URL of the image or study that was created from an upload; null if there is none yet.

    Args:
        names: route names, by the field of the upload that has the key.
    """

    def __init__(self, **names: str) -> None:
        super().__init__(source="*", read_only=True)
        self.names = names

    def to_representation(self, upload: Upload) -> str | None:
        links = (link(self.context, name, pk) for field, name in self.names.items() if (pk := getattr(upload, field)))
        return next(links, None)


class UploadSerializer(serializers.ModelSerializer):
    """An upload, and what was created from it."""

    url = LinkField("api-upload")
    filename = serializers.CharField(source="given.filename")
    image_url = CreatedLink(image="api-image")
    study_url = CreatedLink(study="api-study")
    page_url = CreatedLink(image="image", study="study")
    error = serializers.SerializerMethodField(help_text="why the whole file was refused")
    skipped: Any = serializers.ListField(child=serializers.CharField(), source="report.skipped", default=[])
    refused: Any = ArchiveErrorSerializer(many=True, source="report.refused", default=[])
    duplicates = serializers.SerializerMethodField()
    token = serializers.CharField(required=False, help_text="a guest's, in the answer to the first request")

    class Meta:
        model = Upload
        fields: tuple[str, ...] = (
            "id", "url", "state", "filename", "length", "offset", "created_at", "expires_at", "image_url", "study_url",
            "page_url", "error", "skipped", "refused", "duplicates", "token",
        )  # fmt: skip

    @extend_schema_field(ErrorSerializer(allow_null=True))
    def get_error(self, upload: Upload) -> dict[str, str] | None:
        return {"code": upload.error_code, "detail": upload.error_detail} if upload.error_code else None

    @extend_schema_field(SentBeforeSerializer(many=True))
    def get_duplicates(self, upload: Upload) -> list[dict[str, str]]:
        return [
            {
                "filename": name,
                "url": link(self.context, "api-image", UUID(pk)),
                "page_url": link(self.context, "image", UUID(pk)),
            }
            for name, pk in upload.report.get("duplicates", ())
        ]


class TusView(APIView):
    """Behaviour that all views of tus share."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # For proxies that do not support PATCH, tus requires servers to accept this header.
        if request.method == "POST" and (method := request.headers.get("X-HTTP-Method-Override")):
            request.method = method.upper()
        return super().dispatch(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response.headers["Tus-Resumable"] = protocol.VERSION
        response.headers.setdefault("Cache-Control", "no-store")
        if response.status_code == 412:
            response.headers["Tus-Version"] = protocol.VERSION
        return super().finalize_response(request, response, *args, **kwargs)

    def get_throttles(self) -> list[BaseThrottle]:
        # Parts need no throttle: the length that was declared for the upload already counts towards the limits.
        return [UploadThrottle()] if self.request.method == "POST" else []

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Describe the version, extensions and limits of tus that this service supports."""
        headers = {
            "Tus-Version": protocol.VERSION,
            "Tus-Extension": protocol.EXTENSIONS,
            "Tus-Max-Size": str(settings.MAX_STUDY_BYTES),
            "Tus-Checksum-Algorithm": ",".join(protocol.CHECKSUMS),
        }
        return Response(status=204, headers=headers)


class Uploads(TusView):
    """Uploads that can be resumed after an interruption, by tus."""

    @extend_schema(
        request={protocol.PART_TYPE: OpenApiTypes.BINARY},
        responses={201: UploadSerializer},
        parameters=[VERSION, LENGTH, METADATA, CHECKSUM, TOKEN, KEY],
    )
    def post(self, request: Request) -> Response:
        """Begin an upload. The request may contain the first part. Send the rest to the response's ``Location``."""
        protocol.check_version(request.headers)
        if "Upload-Defer-Length" in request.headers:
            raise Refused("malformed_request", "The length of the file is required. Please send Upload-Length.")
        length = protocol.length(request.headers)
        metadata = request.headers.get("Upload-Metadata", "")
        identity = identities.ensure(identities.identify(request))
        key = request.headers.get(idempotency.HEADER, "")
        upload = services.create(identity, length, metadata, protocol.parse_metadata(metadata), key)
        if upload.state == State.RECEIVING and (_size(request) or not length) and not upload.offset:
            upload = services.receive(identity, upload.pk, _part(request, 0))
        data = dict(UploadSerializer(upload, context={"request": request}).data)
        headers = {"Location": data["url"], **_progress(upload)}
        if identity.guest:
            data["token"] = headers[identities.HEADER] = identities.make_token(identity.guest)
        response = Response(data, status=201, headers=headers)
        identities.remember(response, identity)
        return response


class UploadDetail(TusView):
    """One upload."""

    @extend_schema(responses={200: UploadSerializer}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> Response:
        """Get an upload's progress and what was created from it. ``HEAD`` gives ``Upload-Offset``, where to resume."""
        upload = services.find(identities.identify(request), pk)
        return Response(UploadSerializer(upload, context={"request": request}).data)

    def head(self, request: Request, pk: UUID) -> Response:
        protocol.check_version(request.headers)
        upload = services.find(identities.identify(request), pk)
        headers = {"Upload-Length": str(upload.length), **_progress(upload)}
        if upload.metadata:
            headers["Upload-Metadata"] = upload.metadata
        return Response(headers=headers)

    @extend_schema(
        request={protocol.PART_TYPE: OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="it is on the disk, up to the answer's `Upload-Offset`")},
        parameters=[VERSION, OFFSET, CHECKSUM, TOKEN],
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        """Send the next part of an upload. After the last part, the whole file is accepted or refused."""
        protocol.check_version(request.headers)
        part = _part(request, protocol.offset(request.headers))
        upload = services.receive(identities.identify(request), pk, part)
        return Response(status=204, headers=_progress(upload))

    @extend_schema(responses={204: None}, parameters=[VERSION, TOKEN])
    def delete(self, request: Request, pk: UUID) -> Response:
        """Cancel an upload. What was created from a finished upload is kept."""
        protocol.check_version(request.headers)
        services.terminate(identities.identify(request), pk)
        return Response(status=204)


def _part(request: Request, offset: int) -> services.Part:
    kind = request.content_type.partition(";")[0].strip()
    if kind != protocol.PART_TYPE and _size(request):
        raise UnsupportedMediaType(kind, f"Please send a part as {protocol.PART_TYPE}.")
    body: Any = request  # reads from Django's request, without a copy in memory
    return services.Part(offset, body, _size(request), protocol.checksum(request.headers))


def _size(request: Request) -> int:
    return int(request.headers.get("content-length") or 0)


def _progress(upload: Upload) -> dict[str, str]:
    headers = {"Upload-Offset": str(upload.offset)}
    if upload.state == State.RECEIVING:
        headers["Upload-Expires"] = http_date(upload.expires_at.timestamp())
    return headers
