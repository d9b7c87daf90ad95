"""Settings of the model, of the tasks that prepare and read images, and of Celery."""

from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

from webapp.config import brokers
from webapp.config.settings.base import ROOT, env
from webapp.config.settings.data import BROKER_URL, PURGE_SECONDS, SENTINEL

MODELS_DIR = ROOT / "models"
#: A bundle's path, the name of its folder in MODELS_DIR, or the name of a family of models for its newest release.
MODEL_BUNDLE = env("MODEL_BUNDLE", default="") or "vgg16-pneumonia"
#: Bundles of shadow models, which also read every image. They are named in the same way.
SHADOW_BUNDLES = env.list("SHADOW_BUNDLES", default=[])
#: Name of one of the bundle's operating points; the bundle's default if empty.
OPERATING_POINT = env("OPERATING_POINT", default="")
#: ``ingest`` (prepares interactive images), ``bulk`` (unpacks ZIPs and prepares the images of studies), ``infer``
#: (reads images, with one process per device) or ``deliver`` (sends the outbox to other systems).
WORKER_ROLE = env("PNEUMOQUEUE_ROLE", default="ingest")
#: The engine that runs the model: ``auto`` for the fastest on this machine, ``mnn`` for the CPU, ``keras`` for
#: TensorFlow.
ENGINE = env("ENGINE", default="") or "auto"
#: The precision in which the engine ``keras`` computes a network's convolutions.
KERAS_PRECISION = env("KERAS_PRECISION", default="") or "float32"
if KERAS_PRECISION not in ("float32", "bfloat16", "float16"):
    raise ImproperlyConfigured(f"KERAS_PRECISION={KERAS_PRECISION} is not known; use float32, bfloat16 or float16.")
MAX_BATCH = env.int("MAX_BATCH", default=16)
#: Seconds after which a batch that hangs is killed together with its process. Other limits are derived from it.
BATCH_TIME_LIMIT = env.int("BATCH_TIME_LIMIT", default=120)
#: A ZIP is unpacked in chunks. A chunk ends after this many files or this many seconds, whichever comes first.
UNPACK_CHUNK_FILES, UNPACK_CHUNK_SECONDS = 500, 2.0
#: Seconds after which the task for a chunk is killed. Only a storage that hardly responds makes it take so long.
UNPACK_TIME_LIMIT = env.int("UNPACK_TIME_LIMIT", default=60)
#: Seconds after which a claim on a ZIP counts as lost together with its worker, measured in reconciliations. No task
#: runs that long.
UNPACK_LEASE_SECONDS = 1.1 * UNPACK_TIME_LIMIT
#: Time limit of each kind of task, in seconds. The broker sends a message again only after the longest of them.
TASK_TIME_LIMITS = {
    "worker.infer": BATCH_TIME_LIMIT,
    "worker.ingest": BATCH_TIME_LIMIT,
    "worker.unpack": UNPACK_TIME_LIMIT,
    "worker.deliver": 80,
    "worker.make": 60,
    "worker.count": 120,
    "worker.purge": PURGE_SECONDS + 60,
}
#: Longest time in seconds for which preparing a bulk image gives way; see worker.ingest.giving_way.
GIVE_WAY_SECONDS = env.float("GIVE_WAY_SECONDS", default=1.0)
#: Seconds without progress after which the reconciler looks for an image's message, and resends it if it is gone.
RESEND_AFTER_SECONDS = env.int("RESEND_AFTER_SECONDS", default=15)
RECONCILE_SECONDS = env.int("RECONCILE_SECONDS", default=10)

CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_TRANSPORT_OPTIONS = brokers.transport_options(
    BROKER_URL, longest_task=max(TASK_TIME_LIMITS.values()), **SENTINEL
)
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "control"
# A worker that reads images holds the messages of the current batch and of the next one, which fills meanwhile.
CELERY_WORKER_PREFETCH_MULTIPLIER = 2 * MAX_BATCH if WORKER_ROLE == "infer" else 1
# Number of tasks for which a worker process keeps its database connection; see worker/process/connections.py.
CELERY_DB_REUSE_MAX = 10_000
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_CONSUMER = "worker.process.events:EventConsumer"
CELERY_WORKER_HIJACK_ROOT_LOGGER = True
# Loading the engine and the model takes longer than Celery's default of four seconds.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 180
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "webapp.ops.beat.Scheduler"
CELERY_BEAT_SCHEDULE = {
    # Beat itself runs these three, so only their names and schedules matter.
    "reconcile": {"task": "reconcile", "schedule": RECONCILE_SECONDS},
    "seal": {"task": "seal", "schedule": RECONCILE_SECONDS},
    "sample": {"task": "sample", "schedule": 60},
    # Beat sends these tasks to workers.
    "deliver": {
        "task": "worker.deliver",
        "schedule": RECONCILE_SECONDS,
        "options": {"queue": "deliver", "expires": RECONCILE_SECONDS},
    },
    "count": {
        "task": "worker.count",
        "schedule": crontab(minute="7,22,37,52"),
        "options": {"queue": "control", "expires": 900},
    },
    "purge": {
        "task": "worker.purge",
        "schedule": crontab(minute="23"),
        "options": {"queue": "control", "expires": 3600},
    },
}
