"""Actions on images and studies: cancel them, close studies, and read failed images again."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.studies.access import visible_image, visible_study
from webapp.studies.api import serializers
from webapp.studies.api.views import TOKEN
from webapp.studies.models import Image, Study
from webapp.studies.services import cancellation, opening, retrying


def _image(request: Request, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Image:
    return visible_image(identities.identify(request), pk, permission)


def _study(request: Request, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Study:
    return visible_study(identities.identify(request), pk, permission)


class ImageCancel(APIView):
    """Cancel an image that has no result yet."""

    @extend_schema(request=None, responses={200: serializers.ImageSerializer}, parameters=[TOKEN])
    def post(self, request: Request, pk: UUID) -> Response:
        image = _image(request, pk, permissions.may_cancel)
        if not cancellation.cancel_image(image, identities.identify(request)):
            raise Refused("already_finished", "This image is already finished.")
        return Response(serializers.ImageSerializer(_image(request, pk), context={"request": request}).data)


class ImageRetry(APIView):
    """Read a failed image again from its stored file."""

    @extend_schema(request=None, responses={202: serializers.ImageSerializer}, parameters=[TOKEN])
    def post(self, request: Request, pk: UUID) -> Response:
        retrying.retry_image(identities.identify(request), _image(request, pk, permissions.may_change))
        image = _image(request, pk)
        return Response(serializers.ImageSerializer(image, context={"request": request}).data, status=202)


class StudyCancel(APIView):
    """Cancel all of a study's images that have no result yet."""

    @extend_schema(request=None, responses={200: serializers.StudySerializer}, parameters=[TOKEN])
    def post(self, request: Request, pk: UUID) -> Response:
        cancellation.cancel_study(_study(request, pk, permissions.may_cancel), identities.identify(request))
        return Response(serializers.StudySerializer(_study(request, pk), context={"request": request}).data)


class StudyClose(APIView):
    """Close an open study, so that it finishes with the files that it has."""

    @extend_schema(request=None, responses={200: serializers.StudySerializer}, parameters=[TOKEN])
    def post(self, request: Request, pk: UUID) -> Response:
        opening.close(identities.identify(request), _study(request, pk, permissions.may_add_to))
        return Response(serializers.StudySerializer(_study(request, pk), context={"request": request}).data)


class StudyRetry(APIView):
    """Read all failed images of a study again whose files are stored."""

    @extend_schema(request=None, responses={202: serializers.StudySerializer}, parameters=[TOKEN])
    def post(self, request: Request, pk: UUID) -> Response:
        retrying.retry_study(identities.identify(request), _study(request, pk, permissions.may_change))
        study = _study(request, pk)
        return Response(serializers.StudySerializer(study, context={"request": request}).data, status=202)
