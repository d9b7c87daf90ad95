"""Log lines as JSON."""

import io
import json
import logging
import logging.config
from datetime import datetime

import pytest

from webapp.observability import correlation, logs


@pytest.fixture
def json_log(monkeypatch):
    """A logger with the project's JSON configuration, and a function that returns the lines it has written."""
    stream = io.StringIO()
    configured = logs.config("json", "INFO")
    configurator = logging.config.DictConfigurator(configured)
    formatter = configurator.configure_formatter(configured["formatters"]["json"])
    console = logging.StreamHandler(stream)
    console.setFormatter(formatter)
    console.addFilter(logs.Correlated())
    logger = logging.getLogger("tests.logs")
    logger.addHandler(console)
    logger.setLevel(logging.INFO)
    correlation.begin()
    yield logger, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(console)
    correlation.begin()


def test_a_line_is_one_object_with_time_level_logger_and_message(json_log):
    logger, lines = json_log
    logger.info("of %d\nlines", 2)
    [line] = lines()
    assert datetime.fromisoformat(line.pop("time")).utcoffset().total_seconds() == 0
    assert line == {"level": "INFO", "logger": "tests.logs", "message": "of 2\nlines", "process": "web"}


def test_a_log_line_has_the_ids_of_its_subject(json_log):
    logger, lines = json_log
    correlation.begin(request_id="request-1", image_id="")
    correlation.add(image_id="image-1")
    logger.info("inside")
    logger.info("of another", extra={"request_id": "request-2", "image_id": "image-2"})
    correlation.begin()
    logger.info("outside")
    assert [(line.get("request_id"), line.get("image_id")) for line in lines()] == [
        ("request-1", "image-1"), ("request-2", "image-2"), (None, None),
    ]  # fmt: skip


def test_an_exception_is_in_its_line(json_log):
    logger, lines = json_log
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("it failed")
    [line] = lines()
    assert line["exception"].endswith("ValueError: broken")


def test_a_request_is_left_out_of_the_line(json_log):
    logger, lines = json_log
    logger.warning("Not Found: /x/", extra={"request": "<GET '/x/?patient=Jane'>", "status_code": 404})
    [line] = lines()
    assert "Jane" not in json.dumps(line)
    assert line["status_code"] == 404


@pytest.mark.parametrize(
    ("role", "arguments", "process"),
    [("infer", ["celery", "worker"], "infer"), ("", ["celery", "-A", "worker.app", "beat"], "beat"), ("", [], "web")],
)
def test_a_log_line_has_the_kind_of_process(monkeypatch, role, arguments, process):
    monkeypatch.setenv("PNEUMOQUEUE_ROLE", role)
    monkeypatch.setattr("sys.argv", arguments)
    assert logs.config("json", "INFO")["formatters"]["json"]["static_fields"] == {"process": process}


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="must be one of plain, json"):
        logs.config("xml", "INFO")
