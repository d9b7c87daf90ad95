"""Django's own settings: apps, middleware, templates, language, logs."""

import secrets
from contextlib import suppress
from pathlib import Path

import environ

from webapp.observability import logs

env = environ.FileAwareEnv()

ROOT = Path(__file__).resolve().parents[3]
VERSION = "0.2.0"
DATA_DIR = Path(env("DATA_DIR", default=str(ROOT / "var"))).resolve()

#: In ``production``, the service refuses to start without its own secrets; see :mod:`webapp.config.production`.
ENVIRONMENT = env("ENVIRONMENT", default="development")
DEBUG = env.bool("DEBUG", default=False)


def _stored_key() -> str:
    """The key that ``make run`` has stored, so that management commands use the same. Without one, a random key, which
    suits only tests: no other process accepts what this process signs.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        return (DATA_DIR / "secrets" / "django").read_text().strip()
    return secrets.token_urlsafe(50)


SECRET_KEY = env("SECRET_KEY", default=_stored_key())
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
#: Other websites whose pages may use the API with a token. The browser sends no cookies with these requests.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(api/|dicomweb/|predict)"
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-none-match", "range", "tus-resumable",
    "upload-checksum", "upload-length", "upload-metadata", "upload-offset", "x-http-method-override", "x-job-token",
    "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "Content-Disposition", "Content-Range", "ETag", "Location", "Retry-After", "Tus-Extension", "Tus-Max-Size",
    "Tus-Resumable", "Tus-Version", "Upload-Expires", "Upload-Length", "Upload-Metadata", "Upload-Offset",
    "X-Job-Token", "X-Request-ID",
]  # fmt: skip

INSTALLED_APPS = [
    # Before Django's admin, because it overrides the admin's base template.
    "webapp.dashboard",
    "webapp.accounts.admin_app.RecordedAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",  # used by pages of django-allauth
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_prometheus",
    "axes",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "webapp.audit",
    # Before django-allauth, because it overrides its templates.
    "webapp.accounts",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "webapp.departments",
    "webapp.studies",
    "webapp.studies.outbox",
    "webapp.reviews",
    "webapp.notifications",
    "webapp.resumable",
    "webapp.searches",
    "webapp.sharing",
    "webapp.ops",
    "webapp.administration",
    "webapp.transfer",
    "webapp.retention",
    "webapp.queues",
    "webapp.agreement",
    "webapp.dicom",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "webapp.http.middleware.request_ids",
    # These add headers to every response, so they come before all middleware that may respond itself.
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "webapp.http.middleware.content_security_policy",
    "corsheaders.middleware.CorsMiddleware",
    "webapp.http.languages.LanguageMiddleware",
    "webapp.http.middleware.RefusalMiddleware",
    "webapp.http.middleware.slashes",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
# Indexes that MariaDB does not support (models.W037) only save time. django-allauth's conditional constraints
# (models.W036) are also enforced by its forms.
SILENCED_SYSTEM_CHECKS = ["models.W036", "models.W037"]

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
                "django.template.context_processors.i18n",
                "webapp.dashboard.context.service",
            ],
            "builtins": ["webapp.dashboard.templatetags.moments"],
        },
    },
]

#: The language of programs, and of people who prefer none of LANGUAGES. docs/words.md says how a page is translated.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ne", "नेपाली")]
LOCALE_PATHS = [ROOT / "webapp" / "dashboard" / "locale"]
FORMAT_MODULE_PATH = ["webapp.config.formats"]
LANGUAGE_COOKIE_AGE = 365 * 86400
TIME_ZONE = env("TIME_ZONE", default="UTC")
USE_TZ = True
PROMETHEUS_EXPORT_MIGRATIONS = False
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

#: ``plain`` lines, or ``json`` for one JSON object per line.
LOG_FORMAT = env("LOG_FORMAT", default="plain")
LOGGING = logs.config(LOG_FORMAT, env("LOG_LEVEL", default="INFO"))
#: Path of the certificate, or chain of certificates, that the proxy serves. /metrics shows when it expires.
TLS_CERTIFICATE = env("TLS_CERTIFICATE", default="")
