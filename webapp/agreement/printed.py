"""The report as a PDF."""

from collections.abc import Iterable, Sequence
from importlib.resources import as_file
from typing import TYPE_CHECKING, Any, cast

from django.utils import timezone
from django.utils.dateformat import format as in_words

from webapp import paper
from webapp.agreement.figures import Agreement, Report
from webapp.agreement.incoming import Comparison, Incoming, State
from webapp.agreement.templatetags.agreement import about, interval, months, whole_percent
from webapp.statistics import FEWEST, Estimate

if TYPE_CHECKING:
    from fpdf import FPDF
    from fpdf.fonts import TTFFont

TOO_FEW = "too few to say"
CAUTION = (
    "Readers are not the truth: they err too, and they see the model's answer before they give their verdict. Only "
    "images that somebody read are compared, and suspicious ones are read first, so that sensitivity may look better "
    f"than it is and specificity worse. Intervals are of 95 %; under {FEWEST} images there is no number."
)
HEADINGS = ("Read", "Compared", "Sensitivity", "Missed", "Specificity", "Kappa")

Row = Sequence[str]


def draw(report: Report, chosen: dict[str, Any]) -> bytes:
    """Draw the report as a PDF.

    Args:
        report: the report.
        chosen: the selection, from :meth:`webapp.agreement.forms.ChoiceForm.chosen`.
    """
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    with as_file(paper.FONT) as path:
        pdf.add_font("Noto", fname=path)
        pdf.set_title("Agreement with readers")
        pdf.set_lang("en")
        pdf.set_creator("PneumoQueue")
        pdf.add_page()
        _text(pdf, "PneumoQueue: agreement with readers", 15)
        _text(pdf, f"{_scope(report, chosen)}. Made {_local_time(timezone.now())}{_counted(report)}.", 9)
        _text(pdf, CAUTION, 9)
        for alert in report.alerts:
            _text(pdf, f"Needs attention in {alert.department.name}: {about(alert.about)} of {alert.bundle} is "
                       f"{alert.value:.2f}, the bound is {alert.bound:.2f}.", 9)  # fmt: skip
        _table(pdf, "All together", ("", *HEADINGS), [_row(report.together)])
        _table(pdf, "By month", ("Month", *HEADINGS), [_row(month) for month in report.months])
        _table(pdf, "By model", ("Model", *HEADINGS), [_row(model) for model in report.models])
        groups = [
            (str(row.group.label), str(row.images), str(row.read), _share(row.pneumonias)) for row in report.groups
        ]
        _table(pdf, "By the model's answer", ("Answer", "Images", "Compared", "Readers call pneumonia"), groups)
        if calibration := report.together.calibration:
            tenths = [
                (whole_percent(row.predicted), str(row.images), _share(row.observed)) for row in calibration.tenths
            ]
            _table(pdf, "By the score", ("Mean score", "Compared", "Readers call pneumonia"), tenths)
        if report.incoming:
            _incoming(pdf, report.incoming)
        return bytes(pdf.output())


def _incoming(pdf: "FPDF", incoming: Incoming) -> None:
    rows: list[Row] = [
        (f"{drift.feature.title}, {drift.feature.unit}", str(drift.known), _number(drift.median),
         _comparison(drift.training, "not known for this model"),
         _comparison(drift.first, "nothing to compare with yet"))
        for drift in incoming.features
    ]  # fmt: skip
    answers = [
        _comparison(incoming.answers_measured, "not known for this model"),
        _comparison(incoming.answers, "nothing to compare with yet"),
    ]
    known = incoming.positives.n if incoming.positives else incoming.images
    rows.append(("Signs found", str(known), _share(incoming.positives), *answers))
    title = f"What comes in: {incoming.images} images of {months(incoming.months)}"
    _table(
        pdf, title, ("What", "Known of", "Median", "Compared with the training", "Compared with the first images"), rows
    )
    _text(pdf, "The number is the population stability index: under 0.1 the same, from 0.25 on different.", 8)


def _row(agreement: Agreement) -> Row:
    kappa = f"{agreement.kappa.value:.2f} ({interval(agreement.kappa, 'kappa')})" if agreement.kappa else TOO_FEW
    shares = (_share(estimate) for estimate in (agreement.sensitivity, agreement.missed, agreement.specificity))
    return agreement.name or "All", str(agreement.images), str(agreement.verdicts), *shares, kappa


def _share(estimate: Estimate | None) -> str:
    return f"{whole_percent(estimate.value)} ({interval(estimate)}), n {estimate.n}" if estimate else TOO_FEW


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if value < 1 else f"{value:.0f}"


def _comparison(comparison: Comparison, missing_text: str) -> str:
    if comparison.state == State.NOT_KNOWN or comparison.shift is None:
        return missing_text
    months_text = f", {months(comparison.months)}" if comparison.months else ""
    return f"{comparison.state.label} ({comparison.shift.index:.2f}, beside {comparison.shift.reference}{months_text})"


def _scope(report: Report, chosen: dict[str, Any]) -> str:
    departments = report.departments
    scope = "The whole service" if departments is None else ", ".join(department.name for department in departments)
    since, until = (f"{chosen[name]:%Y-%m}" if chosen[name] else "" for name in ("since", "until"))
    period = f", {since or 'from the beginning'} to {until or 'now'}" if since or until else ""
    return f"{scope}{period}{', ' + chosen['model'] if chosen['model'] else ''}"


def _counted(report: Report) -> str:
    return f", counted {_local_time(report.counted_at)} or later" if report.counted_at else ""


def _local_time(value: Any) -> str:
    return in_words(timezone.localtime(value), "j M Y, H:i T")


def _text(pdf: "FPDF", text: str, size: float) -> None:
    pdf.set_font("Noto", size=size)
    pdf.multi_cell(0, size * 0.5, _printable(pdf, text), new_x="LMARGIN", new_y="NEXT", align="L")
    pdf.ln(1.5)


def _table(pdf: "FPDF", title: str, headings: Row, rows: Iterable[Row]) -> None:
    from fpdf.fonts import FontFace

    pdf.ln(2)
    _text(pdf, title, 11)
    pdf.set_font("Noto", size=8)
    widths = (2, *(1.2 if heading in ("Read", "Compared", "Known of", "Images") else 2 for heading in headings[1:]))
    pdf.set_draw_color(190)
    with pdf.table(
        col_widths=widths, text_align="LEFT", line_height=4.2, borders_layout="HORIZONTAL_LINES",
        headings_style=FontFace(color=(82, 101, 111)),
    ) as table:  # fmt: skip
        for row in (headings, *rows):
            table.row([_printable(pdf, cell) for cell in row])


def _printable(pdf: "FPDF", text: str) -> str:
    return paper.printable(text, cast("TTFFont", pdf.fonts["noto"]).cmap)
