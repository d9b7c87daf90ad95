"""The model, the tasks that prepare and read images, and Celery."""

from celery.schedules import crontab

from webapp.config import brokers
from webapp.config.settings.base import ROOT, env
from webapp.config.settings.data import BROKER_URL, SENTINEL

MODELS_DIR = ROOT / "models"
#: A bundle's path, its folder's name in MODELS_DIR, or a family's name for its newest release.
MODEL_BUNDLE = env("MODEL_BUNDLE", default="") or "vgg16-pneumonia"
#: Bundles that read every image in its shadow, named in the same way.
SHADOW_BUNDLES = env.list("SHADOW_BUNDLES", default=[])
#: One of the bundle's operating points; without it, the bundle's default.
OPERATING_POINT = env("OPERATING_POINT", default="")
#: ``ingest`` (prepares interactive images), ``bulk`` (unpacks ZIPs and prepares the images of studies), ``infer``
#: (one process per device that reads them) or ``deliver`` (what sends the outbox to other systems).
WORKER_ROLE = env("PNEUMOQUEUE_ROLE", default="ingest")
#: What runs the model: ``auto`` takes the fastest on the machine, ``mnn`` the processor, ``keras`` TensorFlow.
ENGINE = env("ENGINE", default="") or "auto"
MAX_BATCH = env.int("MAX_BATCH", default=16)
#: Seconds after which a batch that hangs is killed, with its process. The other limits follow from it.
BATCH_TIME_LIMIT = env.int("BATCH_TIME_LIMIT", default=120)
#: A ZIP is unpacked in chunks of so many files, or so many seconds, whichever is reached first.
UNPACK_CHUNK_FILES, UNPACK_CHUNK_SECONDS = 500, 2.0
#: Seconds after which the run of a chunk is killed; only a storage that hardly answers takes it there.
UNPACK_TIME_LIMIT = env.int("UNPACK_TIME_LIMIT", default=60)
#: Seconds after which a claim on a ZIP counts as lost with its worker: no run lives that long.
UNPACK_LEASE_SECONDS = 1.1 * UNPACK_TIME_LIMIT
#: Seconds after which a task of each kind is ended.
TASK_TIME_LIMITS = {
    "worker.infer": BATCH_TIME_LIMIT,
    "worker.ingest": BATCH_TIME_LIMIT,
    "worker.unpack": UNPACK_TIME_LIMIT,
    "worker.deliver": 80,
    "worker.make": 60,
}
#: Seconds for which preparing a bulk image gives way at most, see worker.ingest.giving_way.
GIVE_WAY_SECONDS = env.float("GIVE_WAY_SECONDS", default=1.0)
#: Seconds without a sign of progress after which a message is looked for, and sent again if it is gone.
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
# A worker that reads holds the batch in hand and the next one, which gathers meanwhile.
CELERY_WORKER_PREFETCH_MULTIPLIER = 2 * MAX_BATCH if WORKER_ROLE == "infer" else 1
# Tasks in which a worker's process keeps its connection to the database; see worker/process/connections.py.
CELERY_DB_REUSE_MAX = 10_000
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_CONSUMER = "worker.process.telling:TellingConsumer"
CELERY_WORKER_HIJACK_ROOT_LOGGER = True
# Loading the engine and the model takes longer than Celery's four seconds.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 180
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "webapp.ops.beat.Scheduler"
CELERY_BEAT_SCHEDULE = {
    # These three are run by beat itself, so that their names are all that counts.
    "reconcile": {"task": "reconcile", "schedule": RECONCILE_SECONDS},
    "seal": {"task": "seal", "schedule": RECONCILE_SECONDS},
    "sample": {"task": "sample", "schedule": 60},
    # Tasks that beat sends at intervals.
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
