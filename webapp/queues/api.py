"""The queues, as JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.queues.figures import RUNNING
from webapp.queues.overview import overview
from webapp.studies.choices import Priority
from webapp.studies.models import Pause

STATES = (RUNNING, *Pause.Kind.values)


class QueueSerializer(serializers.Serializer):
    name = serializers.CharField()
    step = serializers.ChoiceField(choices=("preparing", "reading"))
    priority = serializers.ChoiceField(choices=Priority.choices)
    waiting = serializers.IntegerField(help_text="images in it, without those in a batch")
    in_hand = serializers.IntegerField(help_text="images in a batch")
    held = serializers.IntegerField(help_text="those waiting that wait for a night or for the end of a pause")
    oldest_seconds = serializers.FloatField(help_text="since the oldest that waits was received")
    in_per_minute = serializers.FloatField(allow_null=True, help_text="over the last five minutes")
    out_per_minute = serializers.FloatField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True, help_text="until it is empty at this rate")
    state = serializers.ChoiceField(choices=STATES)


class PackedSerializer(serializers.Serializer):
    archives = serializers.IntegerField()
    files = serializers.IntegerField(help_text="in these ZIPs")


class DepartmentShareSerializer(serializers.Serializer):
    slug = serializers.CharField()
    name = serializers.CharField()
    waiting = serializers.IntegerField()
    oldest_seconds = serializers.FloatField()
    state = serializers.ChoiceField(choices=STATES)


class FailureSerializer(serializers.Serializer):
    code = serializers.CharField()
    images = serializers.IntegerField()
    since = serializers.DateTimeField(help_text="when the first of them failed")


class WorkerSerializer(serializers.Serializer):
    name = serializers.CharField()
    role = serializers.CharField(help_text="`ingest`, `bulk` or `infer`")
    ready = serializers.BooleanField()
    living = serializers.BooleanField()
    model = serializers.CharField()
    engine = serializers.CharField()
    device = serializers.CharField()
    max_batch = serializers.IntegerField()
    memory_bytes = serializers.IntegerField(allow_null=True)
    in_hand = serializers.IntegerField(help_text="images in its present batch")
    in_hand_seconds = serializers.FloatField(allow_null=True)
    images_per_second = serializers.FloatField(allow_null=True, help_text="while it reads, over its latest batches")
    seen_at = serializers.DateTimeField()


class BatchSerializer(serializers.Serializer):
    worker = serializers.CharField()
    model = serializers.CharField()
    size = serializers.IntegerField()
    seconds = serializers.FloatField()
    why = serializers.CharField(help_text="why it had this size")
    waited_seconds = serializers.FloatField(allow_null=True, help_text="by the first of its images")
    finished_at = serializers.DateTimeField()


class OutboxSerializer(serializers.Serializer):
    waiting = serializers.IntegerField()
    retrying = serializers.IntegerField()
    dead = serializers.IntegerField()
    overdue_seconds = serializers.FloatField()


class StorageSerializer(serializers.Serializer):
    stored_bytes = serializers.IntegerField(allow_null=True, help_text="of all uploads, counted once an hour")
    disk_bytes = serializers.IntegerField(allow_null=True, help_text="of the disk with DATA_DIR")
    free_bytes = serializers.IntegerField(allow_null=True)


class LastSerializer(serializers.Serializer):
    reconciled = serializers.DateTimeField(allow_null=True)
    purged = serializers.DateTimeField(allow_null=True)
    backed_up = serializers.DateTimeField(allow_null=True)


class DepartmentsQueuesSerializer(serializers.Serializer):
    """What a manager sees."""

    at = serializers.DateTimeField()
    queues: Any = QueueSerializer(many=True)
    packed = PackedSerializer(help_text="ZIPs that are still to be unpacked, and the files in them")
    departments: Any = DepartmentShareSerializer(many=True)
    failures: Any = FailureSerializer(many=True, help_text="of the last day")
    retries = serializers.IntegerField(help_text="images that are tried once more")


class QueuesSerializer(DepartmentsQueuesSerializer):
    """What waits and what works on it; a manager's answer ends with `retries`."""

    workers: Any = WorkerSerializer(many=True, required=False)
    batches: Any = BatchSerializer(many=True, required=False)
    shadows = serializers.DictField(child=serializers.IntegerField(), required=False, help_text="by model")
    outbox = OutboxSerializer(required=False)
    storage = StorageSerializer(required=False)
    last = LastSerializer(required=False)


class Queues(APIView):
    """What waits, what works on it and what failed: of your departments, and for administrators of everybody."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=QueuesSerializer)
    def get(self, request: Request) -> Response:
        found = overview(identify(request))
        shown = QueuesSerializer if found.everything else DepartmentsQueuesSerializer
        return Response(shown(found).data)
