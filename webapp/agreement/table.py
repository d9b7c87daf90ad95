"""The report as a table with a line for each number, in the form of the other tables (``results_csv``)."""

import csv
import io
from collections.abc import Iterator

from webapp.agreement.figures import Agreement, Report
from webapp.agreement.incoming import Comparison
from webapp.statistics import Estimate
from webapp.studies.files.results_csv import BYTE_ORDER_MARK, inert

COLUMNS = ("part", "name", "figure", "value", "low", "high", "n")
ESTIMATES = ("sensitivity", "specificity", "missed", "kappa")

Line = tuple[str, str, str, float | None, float | None, float | None, int | None]


def as_csv(report: Report) -> str:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    for line in lines(report):
        writer.writerow([inert(_cell(cell)) if isinstance(cell, str) else _cell(cell) for cell in line])
    return BYTE_ORDER_MARK + table.getvalue()


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def lines(report: Report) -> Iterator[Line]:
    """Each number. A value that rests on too few images is empty."""
    yield from _agreement("together", report.together)
    for month in report.months:
        yield from _agreement("month", month)
    for model in report.models:
        yield from _agreement("model", model)
    for group in report.groups:
        yield "group", group.group.value, "images", None, None, None, group.images
        yield _estimate("group", group.group.value, "pneumonias", group.pneumonias, group.read)
    for reason, number in report.left_out.items():
        yield "left_out", reason, "images", None, None, None, number
    if calibration := report.together.calibration:
        for tenth in calibration.tenths:
            yield _estimate("calibration", f"{tenth.predicted:.4f}", "pneumonias", tenth.observed, tenth.images)
    if lately := report.incoming:
        yield _estimate("incoming", "answers", "positives", lately.positives, lately.images)
        yield _comparison("answers", "beside_training", lately.answers_measured)
        yield _comparison("answers", "beside_first", lately.answers)
        for drift in lately.features:
            name = drift.feature.name
            yield "incoming", name, "median", drift.median, None, None, drift.known
            yield _comparison(name, "beside_training", drift.training)
            yield _comparison(name, "beside_first", drift.first)


def _agreement(part: str, found: Agreement) -> Iterator[Line]:
    yield part, found.name, "images", None, None, None, found.images
    yield part, found.name, "verdicts", None, None, None, found.verdicts
    for figure in ESTIMATES:
        yield _estimate(part, found.name, figure, getattr(found, figure), None)
    calibration = found.calibration
    yield _estimate(part, found.name, "pneumonias", calibration.observed if calibration else None, found.verdicts)
    if calibration:
        yield part, found.name, "mean_score", calibration.predicted, None, None, found.verdicts


def _estimate(part: str, name: str, figure: str, found: Estimate | None, n: int | None) -> Line:
    if found is None:
        return part, name, figure, None, None, None, n
    return part, name, figure, found.value, found.low, found.high, found.n


def _comparison(name: str, figure: str, found: Comparison) -> Line:
    shift = found.shift
    return "incoming", name, figure, shift.index if shift else None, None, None, shift.n if shift else None
