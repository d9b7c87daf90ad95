"""Logging of every process: plain lines, or one JSON object per line. Needs no Django, because gunicorn uses it too."""

import logging
import os
import re
import sys
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from webapp.observability import correlation

FORMATS = ("plain", "json")
#: Fields left out of the JSON: whole requests, whose text contains search terms, and Celery's copies of messages.
_UNWANTED = ("request", "server_time", "data", "color_message", "taskName")


#: Parts of a database's message about a refused row that quote its values, such as a patient's identifier.
_VALUES = re.compile(r"^DETAIL:.*|(?<=Duplicate entry ').*(?=' for key)", re.MULTILINE)


class WithoutValues(logging.Formatter):
    """Removes the values of rows from exceptions."""

    def formatException(self, ei: Any) -> str:
        return _VALUES.sub("(left out)", super().formatException(ei))


class JSONFormatter(WithoutValues, JsonFormatter):
    """Writes one JSON object per line."""


class Correlated(logging.Filter):
    """Adds the ids of the current work to a record that lacks them."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in correlation.current().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def config(form: str, level: str) -> dict[str, Any]:
    """Python's logging configuration.

    Args:
        form: one of :data:`FORMATS`.
        level: the level of the root logger.

    Raises:
        ValueError: the form is unknown.
    """
    if form not in FORMATS:
        raise ValueError(f"LOG_FORMAT is {form!r}; it must be one of {', '.join(FORMATS)}")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "correlated": {"()": Correlated},
            "no_quiet_answers": {"()": _NoQuietAnswers},
        },
        "formatters": {
            "plain": {"()": WithoutValues, "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s"},
            "json": {
                "()": JSONFormatter,
                "fmt": ["levelname", "name", "message"],
                "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "exception"},
                "static_fields": {"process": _process()},
                "timestamp": "time",
                "reserved_attrs": [*RESERVED_ATTRS, *_UNWANTED],
            },
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": form, "filters": ["correlated"]}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django.request": {"filters": ["no_quiet_answers"]},
            "axes": {"level": "WARNING"},
            # At lower levels, it logs details of patients from files.
            "PIL": {"level": "INFO"},
            # They log a dozen lines for each object, and the network traffic of each association.
            "highdicom": {"level": "WARNING"},
            "pynetdicom": {"level": "CRITICAL"},
            # They log the letters of a report, in a hundred lines for each report.
            "fontTools": {"level": "WARNING"},
            "fpdf": {"level": "WARNING"},
            # The service logs its own lines for each image, with its id. Celery's two lines per task lack it.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
        },
    }


def _process() -> str:
    """The kind of this process."""
    commands = (command for command in ("beat", "flower") if command in sys.argv)
    return os.environ.get("PNEUMOQUEUE_ROLE") or next(commands, "web")


class _NoQuietAnswers(logging.Filter):
    """Drops records of 503 and 404. Readiness is polled twice a second until the service is ready, so its 503 is not an
    error. An address that does not exist (404) may contain anything that a user typed, even a patient's name.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) not in (404, 503)
