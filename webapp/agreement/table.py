"""The report as a table with one line for each number, in the same format as the other tables (``results_csv``)."""

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
    """One line for each number of the report. A value based on too few images is empty."""
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
    if incoming := report.incoming:
        yield _estimate("incoming", "answers", "positives", incoming.positives, incoming.images)
        yield _comparison("answers", "beside_training", incoming.answers_measured)
        yield _comparison("answers", "beside_first", incoming.answers)
        for drift in incoming.features:
            name = drift.feature.name
            yield "incoming", name, "median", drift.median, None, None, drift.known
            yield _comparison(name, "beside_training", drift.training)
            yield _comparison(name, "beside_first", drift.first)


def _agreement(part: str, agreement: Agreement) -> Iterator[Line]:
    yield part, agreement.name, "images", None, None, None, agreement.images
    yield part, agreement.name, "verdicts", None, None, None, agreement.verdicts
    for figure in ESTIMATES:
        yield _estimate(part, agreement.name, figure, getattr(agreement, figure), None)
    calibration = agreement.calibration
    yield _estimate(
        part, agreement.name, "pneumonias", calibration.observed if calibration else None, agreement.verdicts
    )
    if calibration:
        yield part, agreement.name, "mean_score", calibration.predicted, None, None, agreement.verdicts


def _estimate(part: str, name: str, figure: str, estimate: Estimate | None, n: int | None) -> Line:
    if estimate is None:
        return part, name, figure, None, None, None, n
    return part, name, figure, estimate.value, estimate.low, estimate.high, estimate.n


def _comparison(name: str, figure: str, comparison: Comparison) -> Line:
    shift = comparison.shift
    return "incoming", name, figure, shift.index if shift else None, None, None, shift.n if shift else None
