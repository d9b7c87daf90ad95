"""Settings of databases, caches and files, and of how long data is kept."""

from pathlib import Path
from typing import Any

from webapp.config import brokers, databases
from webapp.config.settings.base import DATA_DIR, DEBUG, env

DATABASES = {"default": databases.from_url(env("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

BROKER_URL = env("BROKER_URL", default="")
# With another broker, Redis is used only if its URL is set. It then counts requests.
REDIS_URL = env("REDIS_URL", default="" if BROKER_URL else "redis://127.0.0.1:6379/0")
BROKER_URL = BROKER_URL or REDIS_URL
SENTINEL = {
    "master": env("REDISSENTINEL_MASTER", default="mymaster"),
    "sentinel_password": env("REDISSENTINEL_PASSWORD", default=""),
}
CACHES = {
    "default": brokers.cache(REDIS_URL, **SENTINEL),
    #: Figures that each process computes at most once a second for all clients.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "TIMEOUT": 1},
}

MEDIA_ROOT = DATA_DIR / "media"
# Container images set this to the folder of the static files that they include.
STATIC_ROOT = Path(env("STATIC_ROOT", default=str(DATA_DIR / "static")))
STATIC_URL = "static/"
STORAGES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "webapp.storage.folder.LocalStorage",
        # File names are made from row ids, so a task that runs twice writes the same file twice.
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
            # Without a key, Amazon's library uses the machine's own role.
            "access_key": env("S3_ACCESS_KEY_ID", default="") or None,
            "secret_key": env("S3_SECRET_ACCESS_KEY", default="") or None,
        },
    }
#: A TOML file with the areas in which a station's images have text burned into the pixels. Exports without patient
#: data blank these areas.
DEIDENTIFY_AREAS = env("DEIDENTIFY_AREAS", default="")
WHITENOISE_USE_FINDERS = DEBUG
FILE_UPLOAD_PERMISSIONS = 0o640
# The folder in which uploads are received. On MEDIA_ROOT's file system, an upload is renamed; elsewhere it is copied.
FILE_UPLOAD_TEMP_DIR = env("FILE_UPLOAD_TEMP_DIR", default=None)
# The folder for files that arrive in several requests (webapp/resumable), preferably on the same file system. All web
# processes need access to it.
RESUMABLE_DIR = DATA_DIR / "resumable"
FILE_UPLOAD_HANDLERS = ["webapp.http.forms.StrictFormParser"]

#: Hours after which a guest's uploads are deleted, and days after which a person's uploads are deleted; 0 keeps them.
GUEST_RETENTION_HOURS = env.int("GUEST_RETENTION_HOURS", default=24)
PERSON_RETENTION_DAYS = env.int("PERSON_RETENTION_DAYS", default=0)
#: Time limit of one purge, which runs every hour, in seconds. The next purge continues with the rest.
PURGE_SECONDS = env.int("PURGE_SECONDS", default=60)

#: Days after which entries of the audit are deleted; 0 keeps them. Hospitals keep X-rays for ten years.
AUDIT_DAYS = env.int("AUDIT_DAYS", default=3650)
#: The key of the audit's chain; SECRET_KEY by default. Set it to the old SECRET_KEY before you replace SECRET_KEY.
AUDIT_KEY = env("AUDIT_KEY", default="")
