"""Settings, from the environment only; every default suits one machine in development."""

import secrets
from pathlib import Path
from typing import Any

import environ
from celery.schedules import crontab

from webapp.config import brokers, databases, networks, production
from webapp.observability import logs

env = environ.FileAwareEnv()

ROOT = Path(__file__).resolve().parents[2]
VERSION = "0.2.0"
DATA_DIR = Path(env("DATA_DIR", default=str(ROOT / "var"))).resolve()

#: ``production`` refuses to start without secrets of its own; see the end of this file.
ENVIRONMENT = env("ENVIRONMENT", default="development")
DEBUG = env.bool("DEBUG", default=False)
# A key of its own for each process would sign guests' tokens that no other process accepts, so every launcher passes
# one; a random key only lets management commands and tests run without.
SECRET_KEY = env("SECRET_KEY", default=secrets.token_urlsafe(50))
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_prometheus",
    "axes",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "webapp.accounts",
    "webapp.departments",
    "webapp.studies",
    "webapp.studies.outbox",
    "webapp.reviews",
    "webapp.notifications",
    "webapp.dashboard",
    "webapp.ops",
    "webapp.transfer",
    "webapp.retention",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "webapp.http.middleware.request_ids",
    # Headers that every answer has, so these come before whatever may answer itself.
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "webapp.http.middleware.content_security_policy",
    "webapp.http.middleware.RefusalMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
# An index that MariaDB does not have (models.W037) only saves time.
SILENCED_SYSTEM_CHECKS = ["models.W037"]

ROOT_URLCONF = "webapp.config.urls"
ASGI_APPLICATION = "webapp.config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.dashboard.context.service",
            ],
        },
    },
]

# --- data -----------------------------------------------------------------------------------------------------------

DATABASES = {"default": databases.from_url(env("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

BROKER_URL = env("BROKER_URL", default="")
# Beside another broker, Redis is there only if it is named; it then counts requests.
REDIS_URL = env("REDIS_URL", default="" if BROKER_URL else "redis://127.0.0.1:6379/0")
BROKER_URL = BROKER_URL or REDIS_URL
_SENTINEL = {
    "master": env("REDIS_SENTINEL_MASTER", default="mymaster"),
    "sentinel_password": env("REDIS_SENTINEL_PASSWORD", default=""),
}
CACHES = {
    "default": brokers.cache(REDIS_URL, **_SENTINEL),
    #: Figures that a process need not work out again within a second, whoever asks for them.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "TIMEOUT": 1},
}

MEDIA_ROOT = DATA_DIR / "media"
# An image brings its static files along.
STATIC_ROOT = Path(env("STATIC_ROOT", default=str(DATA_DIR / "static")))
STATIC_URL = "static/"
STORAGES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "webapp.storage.folder.LocalStorage",
        # Names come from row ids, and a task that runs twice writes the same file twice.
        "OPTIONS": {"location": str(MEDIA_ROOT), "allow_overwrite": True},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if S3_BUCKET := env("S3_BUCKET", default=""):
    STORAGES["default"] = {
        "BACKEND": "webapp.storage.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": env("S3_ENDPOINT_URL", default=""),
            "region_name": env("S3_REGION", default="us-east-1"),
            # Without a key, Amazon's library looks for the machine's own role.
            "access_key": env("S3_ACCESS_KEY_ID", default="") or None,
            "secret_key": env("S3_SECRET_ACCESS_KEY", default="") or None,
        },
    }
WHITENOISE_USE_FINDERS = DEBUG
FILE_UPLOAD_PERMISSIONS = 0o640
# Uploads grow here. On MEDIA_ROOT's file system, keeping one means renaming it; elsewhere it is copied.
FILE_UPLOAD_TEMP_DIR = env("FILE_UPLOAD_TEMP_DIR", default=None)

# --- limits ---------------------------------------------------------------------------------------------------------

MAX_IMAGE_BYTES = env.int("MAX_IMAGE_BYTES", default=50 * 2**20)
#: A request for a study, and all of its files with ZIPs unpacked.
MAX_STUDY_BYTES = env.int("MAX_STUDY_BYTES", default=2 * 2**30)
MAX_STUDY_FILES = env.int("MAX_STUDY_FILES", default=5000)
#: What one guest's address, and one user, may upload in a day, ZIPs unpacked. Administrators have no limit.
GUEST_DAILY_BYTES = env.int("GUEST_DAILY_BYTES", default=2 * 2**30)
USER_DAILY_BYTES = env.int("USER_DAILY_BYTES", default=50 * 2**30)
DATA_UPLOAD_MAX_NUMBER_FILES = MAX_STUDY_FILES
#: /predict keeps an image, its base64 and its JSON in memory while it decodes them.
MAX_PREDICT_BYTES = min(env.int("MAX_PREDICT_BYTES", default=20 * 2**20), MAX_IMAGE_BYTES)
#: Bytes of a request's body by the pattern of its path, with room for base64 (four bytes for three) and for the
#: boundaries around a file.
BODY_LIMITS = {
    "/api/v1/images/": MAX_IMAGE_BYTES + 2**20,
    "/api/v1/studies/([^/]+/images/)?": MAX_STUDY_BYTES + 2**20,
    "/upload/": MAX_STUDY_BYTES + 2**20,
    "/predict": MAX_PREDICT_BYTES * 4 // 3 + 2**20,
}
BODY_LIMIT = DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
#: What preparing one image may take in each ingest process, beyond what the process itself needs; 0 for no limit. It
#: suits the decoder's own limit, and two processes in a container of 1 GB.
PREPARE_MEMORY_BYTES = env.int("PREPARE_MEMORY_BYTES", default=384 * 2**20)
MAX_WAIT_SECONDS = 60
#: Threads, and so connections to the database, of each web process. One more serves all who wait.
WEB_THREADS = env.int("WEB_THREADS", default=3)
PREDICT_TIMEOUT_SECONDS = env.int("PREDICT_TIMEOUT_SECONDS", default=60)
MAX_ATTEMPTS = 3

# --- work -----------------------------------------------------------------------------------------------------------

MODELS_DIR = ROOT / "models"
#: A bundle's path, its folder's name in MODELS_DIR, or a family's name for its newest release.
MODEL_BUNDLE = env("MODEL_BUNDLE", default="") or "vgg16-pneumonia"
#: Bundles that read every image beside that one, named likewise.
SHADOW_BUNDLES = env.list("SHADOW_BUNDLES", default=[])
#: One of the bundle's operating points; without it, the bundle's default.
OPERATING_POINT = env("OPERATING_POINT", default="")
#: ``ingest`` (prepares images of those who wait), ``bulk`` (unpacks ZIPs and prepares the images of studies), ``infer``
#: (one process per device that reads them) or ``deliver`` (what sends the outbox to other systems).
WORKER_ROLE = env("PNEUMOQUEUE_ROLE", default="ingest")
MAX_BATCH = env.int("MAX_BATCH", default=16)
#: Seconds after which a batch that hangs is ended, with the process that reads it. The other limits follow from it.
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
}
#: Seconds without a sign of progress after which a message is looked for, and sent again if it is gone.
RESEND_AFTER_SECONDS = env.int("RESEND_AFTER_SECONDS", default=15)
RECONCILE_SECONDS = env.int("RECONCILE_SECONDS", default=10)

CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_TRANSPORT_OPTIONS = brokers.transport_options(
    BROKER_URL, longest_task=max(TASK_TIME_LIMITS.values()), **_SENTINEL
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
CELERY_WORKER_HIJACK_ROOT_LOGGER = True
# Loading TensorFlow and the model takes longer than Celery's four seconds.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 180
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "webapp.ops.beat.Scheduler"
CELERY_BEAT_SCHEDULE = {
    # Run by beat itself, so that its name is all that counts.
    "reconcile": {"task": "reconcile", "schedule": RECONCILE_SECONDS},
    # What is due again, and what was lost on its way.
    "deliver": {
        "task": "worker.deliver",
        "schedule": RECONCILE_SECONDS,
        "options": {"queue": "deliver", "expires": RECONCILE_SECONDS},
    },
    "purge": {
        "task": "worker.purge",
        "schedule": crontab(minute="23"),
        "options": {"queue": "control", "expires": 3600},
    },
}

# --- webhooks ---------------------------------------------------------------------------------------------------------

#: Where people reach the service; what is sent to other systems names studies by it.
PUBLIC_URL = env("PUBLIC_URL", default=f"http://127.0.0.1:{env('PORT', default='8000')}").rstrip("/")
#: Networks inside the hospital to which webhooks may go, also over plain HTTP. All other private addresses are refused,
#: so that nobody makes this service ask what only it can reach.
WEBHOOK_ALLOWED_NETWORKS = networks.parse("WEBHOOK_ALLOWED_NETWORKS", env.list("WEBHOOK_ALLOWED_NETWORKS", default=[]))

# --- retention ------------------------------------------------------------------------------------------------------

#: Hours after which a guest's uploads are deleted, and days after which a person's are; 0 keeps them.
GUEST_RETENTION_HOURS = env.int("GUEST_RETENTION_HOURS", default=24)
PERSON_RETENTION_DAYS = env.int("PERSON_RETENTION_DAYS", default=0)
#: The longest time of one purge, which runs every hour; what it does not get to is left to the next.
PURGE_SECONDS = env.int("PURGE_SECONDS", default=60)

# --- people ---------------------------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
# Who signed in is in the log; a table of it would grow for ever.
AXES_DISABLE_ACCESS_LOG = True
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
GUEST_TOKEN_DAYS = env.int("GUEST_TOKEN_DAYS", default=30)
API_TOKEN_DAYS = env.int("API_TOKEN_DAYS", default=365)
SECURE_COOKIES = env.bool("SECURE_COOKIES", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
# Browsers accept a cookie with this prefix over TLS only and from this host only, so that nobody else can plant one.
_PREFIX = "__Host-" if SECURE_COOKIES else ""
SESSION_COOKIE_NAME = f"{_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_PREFIX}csrftoken"
GUEST_COOKIE = f"{_PREFIX}guest"
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
FLOWER_URL = env("FLOWER_URL", default="")
#: Where nginx keeps the storage's folder as an internal location, so that it sends the files and not this process;
#: without it, this process does.
X_ACCEL_PREFIX = env("X_ACCEL_PREFIX", default="")
#: A file that a worker and beat keep young while all is well with them, for their container's health check.
ALIVE_PATH = env("ALIVE_PATH", default="")

# --- API ------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "webapp.http.pagination.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "webapp.http.problems.exception_handler",
    "DEFAULT_THROTTLE_RATES": {
        "guest": env("GUEST_RATE", default="240/min"),
        "user": env("USER_RATE", default="1200/min"),
        "login": env("LOGIN_RATE", default="30/min"),
    },
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "PneumoQueue",
    "DESCRIPTION": "Reads chest X-rays for pneumonia, asynchronously. Not a diagnosis.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ImageStatusEnum": "webapp.studies.choices.Status",
        "StudyStatusEnum": "webapp.studies.progress.STATUSES",
    },
}

# --- rest -----------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = env("TIME_ZONE", default="UTC")
USE_TZ = True
PROMETHEUS_EXPORT_MIGRATIONS = False
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# --- monitoring ------------------------------------------------------------------------------------------------------

#: ``plain`` lines, or one JSON object a line.
LOG_FORMAT = env("LOG_FORMAT", default="plain")
LOGGING = logs.config(LOG_FORMAT, env("LOG_LEVEL", default="INFO"))
#: The certificate, or chain of them, that the proxy serves; /metrics tells when it expires.
TLS_CERTIFICATE = env("TLS_CERTIFICATE", default="")

# --- production -----------------------------------------------------------------------------------------------------

production.refuse(
    ENVIRONMENT,
    production.problems(
        debug=DEBUG,
        secret_key=env("SECRET_KEY", default=""),
        database=DATABASES["default"],
        brokers={"REDIS_URL": REDIS_URL},
        others={"ADMIN_PASSWORD": env("ADMIN_PASSWORD", default="")},
        plain_hosts=[] if SECURE_COOKIES or env.bool("ALLOW_PLAIN_HTTP", default=False) else ALLOWED_HOSTS,
    ),
)
