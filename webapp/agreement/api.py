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
    """A number with its 95 % interval; null where it rests on fewer than ten images."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    n = serializers.IntegerField(help_text="how many images it rests on")


class TenthSerializer(serializers.Serializer):
    images = serializers.IntegerField()
    predicted = serializers.FloatField(help_text="their mean score")
    observed = EstimateSerializer(allow_null=True, help_text="the share that readers call pneumonia")


class CalibrationSerializer(serializers.Serializer):
    predicted = serializers.FloatField(help_text="the mean score")
    observed = EstimateSerializer(help_text="the share that readers call pneumonia")
    tenths: Any = TenthSerializer(many=True, help_text="of the scale, those that have images")


class ModelAgreementSerializer(serializers.Serializer):
    """A model's answers beside readers' verdicts."""

    name = serializers.CharField(help_text="the month or the model; empty for all together")
    images = serializers.IntegerField(help_text="that the model has read")
    verdicts = serializers.IntegerField(help_text="images that these are compared on")
    sensitivity = EstimateSerializer(allow_null=True, help_text="of the readers' pneumonias, those it found signs in")
    specificity = EstimateSerializer(allow_null=True, help_text="of the readers' normal images, those it did not")
    missed = EstimateSerializer(allow_null=True, help_text="of the readers' pneumonias, those in the group negative")
    kappa = EstimateSerializer(allow_null=True, help_text="Cohen's")
    calibration = CalibrationSerializer(allow_null=True)


class GroupSerializer(serializers.Serializer):
    group = serializers.ChoiceField(choices=ResultGroup.choices)
    images = serializers.IntegerField()
    read = serializers.IntegerField(help_text="those with a verdict that they are compared on")
    pneumonias = EstimateSerializer(allow_null=True, help_text="of those, the share that readers call pneumonia")


class ShiftSerializer(serializers.Serializer):
    index = serializers.FloatField(help_text="the population stability index")
    by_chance = serializers.FloatField(help_text="an index that samples of this size exceed once in twenty times")
    n = serializers.IntegerField()
    reference = serializers.IntegerField(help_text="images that they are compared with")


class ComparisonSerializer(serializers.Serializer):
    """What comes in, beside something else."""

    state = serializers.ChoiceField(choices=State.choices)
    shift = ShiftSerializer(allow_null=True)
    months: Any = serializers.ListField(child=serializers.DateField(), help_text="of the images that they are beside")


class DriftSerializer(serializers.Serializer):
    name = serializers.CharField(source="feature.name")
    known = serializers.IntegerField(help_text="images of which it is known")
    median = serializers.FloatField(allow_null=True)
    edges: Any = serializers.ListField(child=serializers.FloatField(), source="feature.edges")
    parts: Any = serializers.ListField(child=serializers.IntegerField(), help_text="images between the edges")
    training = ComparisonSerializer(help_text="beside what the model learnt from")
    first = ComparisonSerializer(help_text="beside the first images here")


class IncomingSerializer(serializers.Serializer):
    """What came in during the last three months that are looked at."""

    months: Any = serializers.ListField(child=serializers.DateField())
    images = serializers.IntegerField()
    model = serializers.CharField()
    positives = EstimateSerializer(allow_null=True, help_text="the share in which the model found signs of pneumonia")
    answers = ComparisonSerializer(help_text="the model's, beside those to the first images here")
    answers_measured = ComparisonSerializer(help_text="the model's, beside those that it gave when it was measured")
    features: Any = DriftSerializer(many=True)


class AlertSerializer(serializers.Serializer):
    department = serializers.CharField(source="department.slug")
    model = serializers.CharField(source="bundle")
    about = serializers.CharField(help_text="sensitivity, answers, or a feature's name")
    value = serializers.FloatField()
    bound = serializers.FloatField(help_text="which the value has passed")
    since = serializers.DateTimeField()


class AgreementSerializer(serializers.Serializer):
    """How the models agree with readers."""

    departments = serializers.SerializerMethodField(help_text="whose images count; null for those of everybody")
    counted_at = serializers.DateTimeField(allow_null=True, help_text="none of the numbers is older")
    together = ModelAgreementSerializer()
    months: Any = ModelAgreementSerializer(many=True)
    models: Any = ModelAgreementSerializer(many=True)
    groups: Any = GroupSerializer(many=True)
    left_out = serializers.DictField(child=serializers.IntegerField(), help_text="images without a comparison, by why")
    incoming = IncomingSerializer(allow_null=True)
    alerts: Any = AlertSerializer(many=True)

    def get_departments(self, report: Any) -> list[str] | None:
        return None if report.departments is None else [one.slug for one in report.departments]


class AgreementView(APIView):
    """How the models agree with readers: in your departments, and for administrators in the whole service."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=AgreementSerializer, parameters=[AgreementFilters])
    def get(self, request: Request) -> Response:
        identity = identify(request)
        # Before the parameters are looked at.
        selection.scope(identity)
        given = checked(AgreementFilters, given_once(request.query_params), paging=())
        given |= {name: first_day(given[name]) for name in ("since", "until") if name in given}
        found = selection.report_for(identity, **given)
        record(identity, Action.LIST, MonthlyCount)
        return Response(AgreementSerializer(found).data)
