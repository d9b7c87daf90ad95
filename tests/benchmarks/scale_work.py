"""The operations of workers, beat and Prometheus that :mod:`tests.benchmarks.scale` measures."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from webapp.ops import metrics
from webapp.queues import sampling
from webapp.retention import services as retention
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image, Reading
from webapp.studies.services import deletion, reading, reconciliation

BUNDLE = "vgg16-pneumonia-1.2.0"


def operations(rounds: int) -> dict[str, Callable[[], Any]]:
    dispatch.send = dispatch.send_readings = lambda *_: True  # the broker is not measured
    dispatch.messages_waiting = lambda queue: 0
    waiting = Reading.objects.next_to_read(BUNDLE)

    def claim() -> None:
        ids = list(waiting.values_list("image", flat=True)[:16])
        token = uuid4()
        assert len(reading.claim(token, uuid4(), BUNDLE, ids)) == 16
        reading.return_unread(token, ids)

    def claim_by_turns() -> None:
        token = uuid4()
        claimed = reading.claim(token, uuid4(), BUNDLE, [], 16)
        assert len(claimed) == 16
        reading.return_unread(token, [row.image_id for row in claimed])

    def delete() -> None:
        # By primary key, because finding the images is not measured.
        deletion.delete_images(Image.objects.filter(pk__in=batches.pop()))

    # At most a hundredth of the images, so that small databases can be measured too.
    size = max(1, min(deletion.CHUNK, Image.objects.count() // 100 // (rounds + 1)))
    to_delete = list(Image.objects.filter(status=Status.FAILED).values_list("pk", flat=True)[: size * (rounds + 1)])
    batches = [to_delete[start : start + size] for start in range(0, len(to_delete), size)]
    workers = reconciliation.Workers((), BUNDLE, [BUNDLE])
    # Without the sweep, which compares stored files with rows: this benchmark has no files.
    steps = [step for step in retention.STEPS if step is not retention.sweep_storage]
    report = retention.PurgeReport()
    return {
        "claim 16 and give them back": claim,
        "claim 16 by turns and give them back": claim_by_turns,
        "reconcile, 2,000 waiting": lambda: reconciliation.reconcile(workers),
        "purge, nothing to do": lambda: [step(retention.Run(report, time.monotonic() + 60)) for step in steps],
        "a step of a deletion": delete,
        "sample of the queues": sampling.take,
        "metrics": metrics.exposition,
    }
