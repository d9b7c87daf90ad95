"""The log of every process: lines for people, or one JSON object a line. Needs no Django: gunicorn uses it too."""

import logging
import os
import re
import sys
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from webapp.observability import correlation

FORMATS = ("plain", "json")
#: Left out of the JSON: whole requests, whose text holds what clients search for, and Celery's copies of messages.
_UNWANTED = ("request", "server_time", "data", "color_message", "taskName")


#: A database's message about a refused row: it quotes all values, such as a patient's identifier.
_VALUES = re.compile(r"^DETAIL:.*|(?<=Duplicate entry ').*(?=' for key)", re.MULTILINE)


class WithoutValues(logging.Formatter):
    """Leaves the values of rows out of exceptions."""

    def formatException(self, ei: Any) -> str:
        return _VALUES.sub("(left out)", super().formatException(ei))


class JSONFormatter(WithoutValues, JsonFormatter):
    """One JSON object for each line."""


class Correlated(logging.Filter):
    """Add the ids of the current work to a record that lacks them."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in correlation.current().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def config(form: str, level: str) -> dict[str, Any]:
    """Python's logging configuration.

    Args:
        form: one of :data:`FORMATS`.
        level: of the root logger.

    Raises:
        ValueError: there is no such form.
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
            # At lower levels it logs patients' details from files.
            "PIL": {"level": "INFO"},
            # A dozen lines for each object, and what went over the network for each association.
            "highdicom": {"level": "WARNING"},
            "pynetdicom": {"level": "CRITICAL"},
            # They log the letters of a report, and a hundred lines for each.
            "fontTools": {"level": "WARNING"},
            "fpdf": {"level": "WARNING"},
            # Each image has lines of its own, which name it; Celery's two for each task know its message only.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
        },
    }


def _process() -> str:
    """The kind of this process."""
    commands = (command for command in ("beat", "flower") if command in sys.argv)
    return os.environ.get("PNEUMOQUEUE_ROLE") or next(commands, "web")


class _NoQuietAnswers(logging.Filter):
    """Readiness is asked twice a second until it is there: 503 is an answer then, not an error. An address that is not
    there (404) may hold whatever somebody typed, a patient's name too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) not in (404, 503)
