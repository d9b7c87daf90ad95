"""The queues as JSON."""

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
    waiting = serializers.IntegerField(help_text="images in the queue, without those in a batch")
    in_hand = serializers.IntegerField(help_text="images in a batch")
    held = serializers.IntegerField(help_text="waiting images that are held until the night or the end of a pause")
    oldest_seconds = serializers.FloatField(help_text="since the oldest waiting image was received")
    in_per_minute = serializers.FloatField(allow_null=True, help_text="over the last five minutes")
    out_per_minute = serializers.FloatField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True, help_text="until the queue is empty at this rate")
    state = serializers.ChoiceField(choices=STATES)


class PackedSerializer(serializers.Serializer):
    archives = serializers.IntegerField()
    files = serializers.IntegerField(help_text="files in these ZIPs")


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
    in_hand = serializers.IntegerField(help_text="images in its current batch")
    in_hand_seconds = serializers.FloatField(allow_null=True)
    images_per_second = serializers.FloatField(
        allow_null=True, help_text="while the worker reads, over its latest batches"
    )
    seen_at = serializers.DateTimeField()


class BatchSerializer(serializers.Serializer):
    worker = serializers.CharField()
    model = serializers.CharField()
    size = serializers.IntegerField()
    seconds = serializers.FloatField()
    why = serializers.CharField(help_text="why the batch had this size")
    waited_seconds = serializers.FloatField(allow_null=True, help_text="how long its first image had waited")
    finished_at = serializers.DateTimeField()


class OutboxSerializer(serializers.Serializer):
    waiting = serializers.IntegerField()
    retrying = serializers.IntegerField()
    dead = serializers.IntegerField()
    overdue_seconds = serializers.FloatField()


class StorageSerializer(serializers.Serializer):
    stored_bytes = serializers.IntegerField(allow_null=True, help_text="size of all uploads, counted once an hour")
    disk_bytes = serializers.IntegerField(allow_null=True, help_text="size of the disk with DATA_DIR")
    free_bytes = serializers.IntegerField(allow_null=True)


class LastSerializer(serializers.Serializer):
    reconciled = serializers.DateTimeField(allow_null=True)
    purged = serializers.DateTimeField(allow_null=True)
    backed_up = serializers.DateTimeField(allow_null=True)


class DepartmentsQueuesSerializer(serializers.Serializer):
    """The fields for a manager."""

    at = serializers.DateTimeField()
    queues: Any = QueueSerializer(many=True)
    packed = PackedSerializer(help_text="ZIPs that wait to be unpacked, and the files in them")
    departments: Any = DepartmentShareSerializer(many=True)
    failures: Any = FailureSerializer(many=True, help_text="failures of the last day")
    retries = serializers.IntegerField(help_text="images that are being retried")


class QueuesSerializer(DepartmentsQueuesSerializer):
    """Queues, workers and failures. A manager's response ends with `retries`."""

    workers: Any = WorkerSerializer(many=True, required=False)
    batches: Any = BatchSerializer(many=True, required=False)
    shadows = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="waiting readings by model"
    )
    outbox = OutboxSerializer(required=False)
    storage = StorageSerializer(required=False)
    last = LastSerializer(required=False)


class Queues(APIView):
    """Queues, workers and failures: of your departments, or of all departments for administrators."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=QueuesSerializer)
    def get(self, request: Request) -> Response:
        figures = overview(identify(request))
        serializer = QueuesSerializer if figures.everything else DepartmentsQueuesSerializer
        return Response(serializer(figures).data)
