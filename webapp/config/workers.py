"""Settings of workers: the service's settings with only the domain's apps, so that workers need no web packages."""

from webapp.config.settings import *  # noqa: F403  (Django's documented way to derive settings)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",  # the purge deletes expired sessions
    "webapp.audit",
    "webapp.accounts",
    "webapp.departments",
    "webapp.studies",
    "webapp.studies.outbox",
    "webapp.reviews",
    "webapp.notifications",
    "webapp.sharing",  # deleting an object deletes its shares
    "webapp.resumable",  # the purge deletes expired uploads
    "webapp.ops",
    "webapp.retention",
    "webapp.queues",  # beat takes samples
    "webapp.agreement",  # workers count agreement
    "webapp.dicom",
]
ROOT_URLCONF = ""  # workers receive no requests
CSRF_FAILURE_VIEW = "django.views.csrf.csrf_failure"
MIDDLEWARE = []
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
