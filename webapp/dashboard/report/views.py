"""Views of a report, for people and for programs."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dashboard.identity import viewer
from webapp.dashboard.report import contents, pdf, pictures
from webapp.studies.access import visible_image
from webapp.studies.api.pictures import TOKEN
from webapp.studies.files import names


@require_safe
def image_report(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _report(viewer(request), pk)


class ImageReport(APIView):
    """An image's result on one page, with its picture and map, as a PDF."""

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        return _report(identities.identify(request), pk)


def _report(identity: Identity, pk: UUID) -> HttpResponse:
    image = visible_image(identity, pk)
    report = contents.of(image, identity)
    record(identity, Action.DOWNLOAD, image, file="report")
    content = pdf.draw(report, pictures.of(image, with_map=report.shows_map))
    response = HttpResponse(content, content_type="application/pdf")
    response.headers["Cache-Control"] = "private, no-store"
    # The browser opens the file instead of saving it, because a saved file would stay on a shared computer.
    filename = names.download(f"report {image.filename}", ".pdf")
    response.headers["Content-Disposition"] = str(content_disposition_header(False, filename))
    return response
