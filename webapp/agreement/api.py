"""Agreement with readers as JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.agreement import selection
from webapp.agreement.forms import MONTH, first_day
from webapp.agreement.incoming import State
from webapp.agreement.models import MonthlyCount
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.studies.api.filters import Filters, checked, given_once
from webapp.studies.choices import ResultGroup


class AgreementFilters(Filters):
    department = serializers.CharField(required=False, max_length=50, help_text="a department's slug")
    model = serializers.CharField(required=False, max_length=100, help_text="a model's name and version")
    since = serializers.CharField(required=False, validators=[MONTH], help_text="the first month, such as 2026-03")
    until = serializers.CharField(required=False, validators=[MONTH], help_text="the last month")


class EstimateSerializer(serializers.Serializer):
    """A number with its 95 % interval; null if it is based on fewer than ten images."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    n = serializers.IntegerField(help_text="number of images it is based on")


class TenthSerializer(serializers.Serializer):
    images = serializers.IntegerField()
    predicted = serializers.FloatField(help_text="mean score of these images")
    observed = EstimateSerializer(allow_null=True, help_text="share that readers call pneumonia")


class CalibrationSerializer(serializers.Serializer):
    predicted = serializers.FloatField(help_text="mean score")
    observed = EstimateSerializer(help_text="share that readers call pneumonia")
    tenths: Any = TenthSerializer(many=True, help_text="tenths of the score scale that have images")


class ModelAgreementSerializer(serializers.Serializer):
    """A model's answers compared with readers' verdicts."""

    name = serializers.CharField(help_text="month or model; empty for the total")
    images = serializers.IntegerField(help_text="images that the model has read")
    verdicts = serializers.IntegerField(help_text="images with a verdict that the answers are compared with")
    sensitivity = EstimateSerializer(
        allow_null=True, help_text="share of the readers' pneumonias in which the model found signs"
    )
    specificity = EstimateSerializer(
        allow_null=True,
        help_text="share of the readers' normal images in which the model found no signs or was unclear",
    )
    missed = EstimateSerializer(
        allow_null=True, help_text="share of the readers' pneumonias that the model put into the group negative"
    )
    kappa = EstimateSerializer(allow_null=True, help_text="Cohen's kappa")
    calibration = CalibrationSerializer(allow_null=True)


class GroupSerializer(serializers.Serializer):
    group = serializers.ChoiceField(choices=ResultGroup.choices)
    images = serializers.IntegerField()
    read = serializers.IntegerField(help_text="images with a verdict that the answers are compared with")
    pneumonias = EstimateSerializer(allow_null=True, help_text="share of those that readers call pneumonia")


class ShiftSerializer(serializers.Serializer):
    index = serializers.FloatField(help_text="population stability index")
    by_chance = serializers.FloatField(help_text="index that samples of this size exceed by chance one time in twenty")
    n = serializers.IntegerField(help_text="number of images compared")
    reference = serializers.IntegerField(help_text="number of images they are compared with")


class ComparisonSerializer(serializers.Serializer):
    """Incoming images compared with reference images."""

    state = serializers.ChoiceField(choices=State.choices)
    shift = ShiftSerializer(allow_null=True)
    months: Any = serializers.ListField(child=serializers.DateField(), help_text="months of the reference images")


class DriftSerializer(serializers.Serializer):
    name = serializers.CharField(source="feature.name")
    known = serializers.IntegerField(help_text="images for which the feature is known")
    median = serializers.FloatField(allow_null=True)
    edges: Any = serializers.ListField(child=serializers.FloatField(), source="feature.edges")
    parts: Any = serializers.ListField(
        child=serializers.IntegerField(), help_text="images in each bin between the edges"
    )
    training = ComparisonSerializer(help_text="compared with the model's training images")
    first = ComparisonSerializer(help_text="compared with the first images received")


class IncomingSerializer(serializers.Serializer):
    """The images of the last three selected months."""

    months: Any = serializers.ListField(child=serializers.DateField())
    images = serializers.IntegerField()
    model = serializers.CharField()
    positives = EstimateSerializer(allow_null=True, help_text="share in which the model found signs of pneumonia")
    answers = ComparisonSerializer(help_text="the model's answers compared with those for the first images received")
    answers_measured = ComparisonSerializer(
        help_text="the model's answers compared with those it gave when it was evaluated"
    )
    features: Any = DriftSerializer(many=True)


class AlertSerializer(serializers.Serializer):
    department = serializers.CharField(source="department.slug")
    model = serializers.CharField(source="bundle")
    about = serializers.CharField(help_text="sensitivity, answers, or a feature's name")
    value = serializers.FloatField()
    bound = serializers.FloatField(help_text="limit that the value has passed")
    since = serializers.DateTimeField()


class AgreementSerializer(serializers.Serializer):
    """How well the models agree with readers."""

    departments = serializers.SerializerMethodField(help_text="departments whose images count; null for all images")
    counted_at = serializers.DateTimeField(allow_null=True, help_text="when the oldest of the counts was made")
    together = ModelAgreementSerializer()
    months: Any = ModelAgreementSerializer(many=True)
    models: Any = ModelAgreementSerializer(many=True)
    groups: Any = GroupSerializer(many=True)
    left_out = serializers.DictField(
        child=serializers.IntegerField(), help_text="number of images that are not compared, by reason"
    )
    incoming = IncomingSerializer(allow_null=True)
    alerts: Any = AlertSerializer(many=True)

    def get_departments(self, report: Any) -> list[str] | None:
        return None if report.departments is None else [department.slug for department in report.departments]


class AgreementView(APIView):
    """How well the models agree with readers, in your departments or, for administrators, in the whole service."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=AgreementSerializer, parameters=[AgreementFilters])
    def get(self, request: Request) -> Response:
        identity = identify(request)
        # Check permission before the parameters.
        selection.scope(identity)
        parameters = checked(AgreementFilters, given_once(request.query_params), paging=())
        parameters |= {name: first_day(parameters[name]) for name in ("since", "until") if name in parameters}
        report = selection.report_for(identity, **parameters)
        record(identity, Action.LIST, MonthlyCount)
        return Response(AgreementSerializer(report).data)
