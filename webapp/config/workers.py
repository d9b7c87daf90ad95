"""The workers' settings: the service's, with the apps of the domain only, so that their image needs no web packages."""

from webapp.config.settings import *  # noqa: F403  (Django's documented way to derive settings)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",  # the purge deletes those that have expired
    "webapp.audit",
    "webapp.accounts",
    "webapp.departments",
    "webapp.studies",
    "webapp.studies.outbox",
    "webapp.reviews",
    "webapp.notifications",
    "webapp.sharing",  # deleting an object deletes its shares
    "webapp.resumable",  # the purge deletes uploads that were given up
    "webapp.ops",
    "webapp.retention",
    "webapp.queues",  # beat takes samples
    "webapp.agreement",  # a worker counts
    "webapp.dicom",
]
ROOT_URLCONF = ""  # no request comes here
CSRF_FAILURE_VIEW = "django.views.csrf.csrf_failure"
MIDDLEWARE = []
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
