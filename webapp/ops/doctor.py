"""Checks of an installation. A failed check says what to do.

``manage.py doctor`` and a page run all checks. A start on one machine first runs those that need no other program.
"""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from shutil import disk_usage
from uuid import uuid4

from django.conf import settings
from django.core import checks as django_checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.mail import get_connection
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.ops import certificate, checks, clocks, listener, model_files
from webapp.ops.findings import Failed, Finding
from webapp.ops.models import Worker

#: Largest accepted difference between the clocks of hosts. Times of different hosts are only compared in seconds.
CLOCK_SECONDS = 5.0
CERTIFICATE_LEFT = timedelta(days=14)
#: A disk is almost full if less than this part of it, and less than this many bytes, is free.
FREE_PART, FREE_BYTES = 0.03, 2 * 2**30
#: The values of ENGINE, with the package that each needs on machines that read images.
ENGINES = {"auto": "", "keras": "keras", "mnn": "MNN", "openvino": "openvino"}


def before_start() -> list[Finding]:
    """Run the checks that need neither a running program nor the network, before the service starts.

    A disk that is almost full, or a certificate that expires soon, does not prevent a start.
    """
    return _run((_settings, _model, _engine, *(() if settings.S3_BUCKET else (_storage,))))


def everything() -> list[Finding]:
    """Run all checks of a running service."""
    return _run(
        (_settings, _database, _migrations, _broker, _storage, _model, _engine, _workers, listener.dicom, _disk, _clock,
         _mail, _certificate)
    )  # fmt: skip


def _run(functions: Iterable[Callable[[], str]]) -> list[Finding]:
    findings = []
    for check in functions:
        name = check.__name__.lstrip("_")
        try:
            findings.append(Finding(name, True, check()))
        except Failed as failed:
            findings.append(Finding(name, False, failed.message, failed.todo))
    return findings


def _settings() -> str:
    """Run Django's own checks. Settings that cannot be loaded at all stop every command before this check."""
    for message in django_checks.run_checks():
        if message.is_serious() and not message.is_silenced():
            raise Failed(str(message.msg), str(message.hint or _("Correct this setting and start again.")))
    return _("for %(environment)s") % {"environment": settings.ENVIRONMENT}


def _database() -> str:
    if not checks.database():
        raise Failed(
            _("The database (%(name)s) does not answer.") % {"name": connection.vendor},
            _("Start it, and check DATABASE_URL: host, port, name, user and password."),
        )
    for message in django_checks.run_checks(tags=["database"], databases=["default"]):
        if message.is_serious():
            raise Failed(str(message.msg), str(message.hint or ""))
    return _("%(name)s answers") % {"name": connection.vendor}


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        message = _("The migrations cannot be read: %(error)s") % {"error": error}
        raise Failed(message, _("See the check of the database.")) from None
    if missing:
        raise Failed(
            _("%(n)s migrations are not applied to the database; the first is %(name)s.")
            % {"n": len(missing), "name": missing[0][0]},
            _("Stop the workers, then run: python manage.py migrate"),
        )
    return _("all are applied")


def _broker() -> str:
    if not checks.broker():
        raise Failed(
            _("The broker does not answer. Uploads are accepted and wait."),
            _("Start Redis (or RabbitMQ), and check REDIS_URL or BROKER_URL: host, port and password."),
        )
    return _("answers")


def _storage() -> str:
    """Write, read and delete a file."""
    name, content = f"doctor/{uuid4()}", b"a test of the storage"
    place = {"place": f"S3 {settings.S3_BUCKET}" if settings.S3_BUCKET else str(settings.MEDIA_ROOT)}
    try:
        if not settings.S3_BUCKET:
            Path(settings.MEDIA_ROOT).mkdir(parents=True, exist_ok=True)
        stored = default_storage.save(name, ContentFile(content))
        with default_storage.open(stored) as file:
            unchanged = file.read() == content
        default_storage.delete(stored)
    except OSError as error:
        raise Failed(
            _("The storage (%(place)s) cannot be used: %(error)s") % {**place, "error": error},
            _("Make its folder writable for the service's user, or check S3_ENDPOINT_URL, S3_BUCKET and its keys."),
        ) from None
    if not unchanged:
        message = _("The storage (%(place)s) returns other data than was stored.") % place
        raise Failed(message, _("Check the disk at once."))
    return _("%(place)s can be written, read and emptied") % place


def _model() -> str:
    """Check the bundle on this machine; if the models are elsewhere, check what the workers report."""
    if not settings.MODELS_DIR.is_dir():
        return _reported_model()
    try:
        for shadow in settings.SHADOW_BUNDLES:
            model_files.check(shadow)
        return model_files.check(settings.MODEL_BUNDLE, settings.OPERATING_POINT)
    except model_files.NoModelError as error:
        raise Failed(
            _("MODEL_BUNDLE and OPERATING_POINT do not name a model: %(error)s.") % {"error": error},
            _("Correct MODEL_BUNDLE, OPERATING_POINT or SHADOW_BUNDLES, or add the bundle."),
        ) from None


def _engine() -> str:
    """Check the engine. Whether it is installed is only checked on machines that have the models."""
    if settings.ENGINE not in ENGINES:
        message = _("ENGINE=%(engine)s is not an engine.") % {"engine": settings.ENGINE}
        raise Failed(message, _("Use one of: %(engines)s.") % {"engines": ", ".join(ENGINES)})
    package, engine = ENGINES[settings.ENGINE], {"engine": settings.ENGINE}
    if package and settings.MODELS_DIR.is_dir() and not find_spec(package):
        raise Failed(
            _("ENGINE=%(engine)s needs %(package)s, which is not installed here.") % {**engine, "package": package},
            _("Run `make run ENGINE=%(engine)s`, which installs it, or leave ENGINE out.") % engine,
        )
    return settings.ENGINE


def _reported_model() -> str:
    models = set(Worker.objects.seen_recently().exclude(model="").values_list("model", flat=True))
    if not models:
        raise Failed(_("No worker has reported a model."), _("The log of the infer worker says why."))
    return _("workers report %(models)s") % {"models": ", ".join(sorted(models))}


def _workers() -> str:
    missing = [role for role in ("ingest", "bulk", "infer", "deliver") if not checks.worker(role)]
    if missing:
        raise Failed(
            _("These workers are not ready: %(roles)s. Images are accepted and wait.") % {"roles": ", ".join(missing)},
            _("Start them. Their logs say why they stopped. A start takes half a minute."),
        )
    engines = set(Worker.objects.seen_recently().exclude(engine="").values_list("engine", flat=True))
    names = ", ".join(sorted(engines)) or _("none")
    return _("one of each role is ready; engine in use: %(engines)s") % {"engines": names}


def _disk() -> str:
    try:
        usage = disk_usage(settings.DATA_DIR)
    except OSError as error:
        message = _("DATA_DIR=%(folder)s cannot be checked: %(error)s") % {
            "folder": settings.DATA_DIR,
            "error": error,
        }
        raise Failed(message, _("Choose another DATA_DIR.")) from None
    sizes = {"free": f"{usage.free / 2**30:.1f}", "all": f"{usage.total / 2**30:.1f}"}
    if usage.free < min(FREE_BYTES, FREE_PART * usage.total):
        raise Failed(
            _("Only %(free)s GB of %(all)s GB are free on the disk with DATA_DIR.") % sizes,
            _("Free some space, or keep uploads for a shorter time; see Retention in the manual."),
        )
    return _("%(free)s GB of %(all)s GB are free on the disk with DATA_DIR") % sizes


def _clock() -> str:
    """Compare this host's clock with those of the database and of Redis."""
    compared = []
    for name, read_clock in ((_("database"), clocks.of_database), ("Redis", clocks.of_redis)):
        before = time.time()
        other = read_clock()
        if other is None:
            continue
        difference = (before + time.time()) / 2 - other
        if abs(difference) > CLOCK_SECONDS:
            raise Failed(
                _("This host's clock differs from another by %(seconds)s s: %(name)s.")
                % {"name": name, "seconds": f"{abs(difference):.0f}"},
                _("Synchronise the clocks of all hosts by NTP (chrony or systemd-timesyncd)."),
            )
        compared.append(name)
    message = _("agrees with: %(names)s") if compared else _("no other host to compare it with")
    return message % {"names": ", ".join(compared)}


def _mail() -> str:
    if not settings.EMAIL_URL:
        return _("EMAIL_URL is not set, so no e-mail is sent")
    try:
        server = get_connection()
        server.open()
        server.close()
    except OSError as error:
        raise Failed(
            _("The mail server cannot be used: %(error)s") % {"error": error},
            _("Check EMAIL_URL: host, port, user, password."),
        ) from None
    return _("the mail server answers")


def _certificate() -> str:
    if not settings.TLS_CERTIFICATE:
        return _("TLS_CERTIFICATE is not set, so the expiry of the proxy's certificate is not checked")
    expires = certificate.expires_at(settings.TLS_CERTIFICATE)
    if expires is None:
        message = _("%(file)s cannot be read.") % {"file": settings.TLS_CERTIFICATE}
        raise Failed(message, _("Name a PEM file that this process may read."))
    remaining = timedelta(seconds=expires - timezone.now().timestamp())
    if remaining < CERTIFICATE_LEFT:
        soon = ngettext(
            "The certificate expires in %(n)s day.", "The certificate expires in %(n)s days.", remaining.days
        )
        raise Failed(
            soon % {"n": remaining.days} if remaining > timedelta(0) else _("The certificate has expired."),
            _("Renew it, and have a proxy load it; `make run` does that by itself."),
        )
    return ngettext("is valid for %(n)s day", "is valid for %(n)s days", remaining.days) % {"n": remaining.days}
