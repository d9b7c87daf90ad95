"""Checks of an installation, each with a sentence of what to do where it finds something.

``manage.py doctor`` and a page run all of them; a start on one machine runs those that need no other program before it
starts anything.
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

from webapp.ops import certificate, checks, clocks, listener, model_files
from webapp.ops.findings import Finding, Wrong
from webapp.ops.models import Worker

#: Clocks of hosts may differ by so much: what is compared across hosts is measured in seconds at least.
CLOCK_SECONDS = 5.0
CERTIFICATE_LEFT = timedelta(days=14)
#: A disk with less room than this part of it, or than so many bytes, is about to be full.
FREE_PART, FREE_BYTES = 0.03, 2 * 2**30
#: What ENGINE may be, and the package that it needs where images are read.
ENGINES = {"auto": "", "keras": "keras", "mnn": "MNN"}


def before_start() -> list[Finding]:
    """What would keep the service from working and can be known before any program runs, without the network.

    A disk or a certificate that needs care soon does not keep it from starting.
    """
    return _run((_settings, _model, _engine, *(() if settings.S3_BUCKET else (_storage,))))


def everything() -> list[Finding]:
    """All checks, of a service that runs."""
    return _run(
        (_settings, _database, _migrations, _broker, _storage, _model, _engine, _workers, _dicom, _disk, _clock,
         _mail, _certificate)
    )  # fmt: skip


def _run(several: Iterable[Callable[[], str]]) -> list[Finding]:
    findings = []
    for check in several:
        name = check.__name__.lstrip("_")
        try:
            findings.append(Finding(name, True, check()))
        except Wrong as wrong:
            findings.append(Finding(name, False, wrong.found, wrong.todo))
    return findings


def _settings() -> str:
    """Django's own checks of the settings; those that are wrong in themselves stop every command before this one."""
    for message in django_checks.run_checks():
        if message.is_serious() and not message.is_silenced():
            raise Wrong(str(message.msg), str(message.hint or "Correct this setting and start again."))
    return f"for {settings.ENVIRONMENT}"


def _database() -> str:
    if not checks.database():
        raise Wrong(
            f"The database ({connection.vendor}) does not answer.",
            "Start it, and check DATABASE_URL: host, port, name, user and password.",
        )
    for message in django_checks.run_checks(tags=["database"], databases=["default"]):
        if message.is_serious():
            raise Wrong(str(message.msg), str(message.hint or ""))
    return f"{connection.vendor} answers"


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        raise Wrong(f"The migrations cannot be read: {error}", "See the check of the database.") from None
    if missing:
        raise Wrong(
            f"The database lacks {len(missing)} migrations, the first is {missing[0][0]}.",
            "Stop the workers, then run: python manage.py migrate",
        )
    return "all are applied"


def _broker() -> str:
    if not checks.broker():
        raise Wrong(
            "The broker does not answer. Uploads are accepted and wait.",
            "Start Redis (or RabbitMQ), and check REDIS_URL or BROKER_URL: host, port and password.",
        )
    return "answers"


def _storage() -> str:
    """Write, read and delete a file."""
    name, content = f"doctor/{uuid4()}", b"a test of the storage"
    where = f"bucket {settings.S3_BUCKET}" if settings.S3_BUCKET else str(settings.MEDIA_ROOT)
    try:
        if not settings.S3_BUCKET:
            Path(settings.MEDIA_ROOT).mkdir(parents=True, exist_ok=True)
        stored = default_storage.save(name, ContentFile(content))
        with default_storage.open(stored) as file:
            same = file.read() == content
        default_storage.delete(stored)
    except OSError as error:
        raise Wrong(
            f"The storage ({where}) cannot be used: {error}",
            "Make its folder writable for the service's user, or check S3_ENDPOINT_URL, S3_BUCKET and its keys.",
        ) from None
    if not same:
        raise Wrong(f"The storage ({where}) gives back something else than was stored.", "Check the disk at once.")
    return f"{where} can be written, read and emptied"


def _model() -> str:
    """The bundle on this machine; where the models are elsewhere, what the workers report."""
    if not settings.MODELS_DIR.is_dir():
        return _reported_model()
    try:
        for shadow in settings.SHADOW_BUNDLES:
            model_files.check(shadow)
        return model_files.check(settings.MODEL_BUNDLE, settings.OPERATING_POINT)
    except model_files.NoModelError as error:
        raise Wrong(
            f"MODEL_BUNDLE and OPERATING_POINT name no model: {error}.",
            "Correct MODEL_BUNDLE, OPERATING_POINT or SHADOW_BUNDLES, or add the bundle.",
        ) from None


def _engine() -> str:
    """What is to run the model. Whether it is installed is looked up where the models are."""
    if settings.ENGINE not in ENGINES:
        raise Wrong(f"ENGINE={settings.ENGINE} is no engine.", f"Use {', '.join(ENGINES)}.")
    package = ENGINES[settings.ENGINE]
    if package and settings.MODELS_DIR.is_dir() and not find_spec(package):
        raise Wrong(
            f"ENGINE={settings.ENGINE} needs {package}, which is not installed here.",
            "Run `make training`, which installs it, or leave ENGINE out.",
        )
    return settings.ENGINE


def _reported_model() -> str:
    models = set(Worker.objects.seen_recently().exclude(model="").values_list("model", flat=True))
    if not models:
        raise Wrong("No worker has reported a model.", "Look at the log of the infer worker, which says why.")
    return f"workers report {', '.join(sorted(models))}"


def _workers() -> str:
    missing = [role for role in ("ingest", "bulk", "infer", "deliver") if not checks.worker(role)]
    if missing:
        raise Wrong(
            f"No {' and no '.join(missing)} worker is ready. Images are accepted and wait.",
            "Start it; its log says why it ended. A start takes half a minute.",
        )
    engines = set(Worker.objects.seen_recently().exclude(engine="").values_list("engine", flat=True))
    return f"one of each role is ready; engine in use: {', '.join(sorted(engines)) or 'none'}"


def _dicom() -> str:
    return listener.check()


def _disk() -> str:
    try:
        usage = disk_usage(settings.DATA_DIR)
    except OSError as error:
        raise Wrong(f"DATA_DIR={settings.DATA_DIR} cannot be looked at: {error}", "Choose another DATA_DIR.") from None
    free = f"{usage.free / 2**30:.1f} GB of {usage.total / 2**30:.1f} GB are free on the disk with DATA_DIR"
    if usage.free < min(FREE_BYTES, FREE_PART * usage.total):
        raise Wrong(f"Only {free}.", "Make room, or shorten how long uploads are kept; see Retention in the manual.")
    return free


def _clock() -> str:
    """This host's clock against those of the database and of Redis."""
    compared = []
    for name, ask in (("database", clocks.of_database), ("Redis", clocks.of_redis)):
        before = time.time()
        theirs = ask()
        if theirs is None:
            continue
        ahead = (before + time.time()) / 2 - theirs
        if abs(ahead) > CLOCK_SECONDS:
            raise Wrong(
                f"This host's clock differs from that of the {name} by {abs(ahead):.0f} s.",
                "Have all hosts set their clocks by NTP (chrony or systemd-timesyncd).",
            )
        compared.append(name)
    return f"agrees with {' and '.join(compared)}" if compared else "no other host to compare it with"


def _mail() -> str:
    if not settings.EMAIL_URL:
        return "EMAIL_URL is not set, so no e-mail is sent"
    try:
        server = get_connection()
        server.open()
        server.close()
    except OSError as error:
        raise Wrong(
            f"The mail server cannot be used: {error}", "Check EMAIL_URL: host, port, user, password."
        ) from None
    return "the mail server answers"


def _certificate() -> str:
    if not settings.TLS_CERTIFICATE:
        return "TLS_CERTIFICATE is not set; whoever ends TLS watches it"
    expires = certificate.expires_at(settings.TLS_CERTIFICATE)
    if expires is None:
        raise Wrong(f"{settings.TLS_CERTIFICATE} cannot be read.", "Name a PEM file that this process may read.")
    left = timedelta(seconds=expires - timezone.now().timestamp())
    if left < CERTIFICATE_LEFT:
        when = f"expires in {left.days} days" if left > timedelta(0) else "has expired"
        raise Wrong(f"The certificate {when}.", "Renew it, and have a proxy load it; `make run` does that by itself.")
    return f"is valid for {left.days} days"
