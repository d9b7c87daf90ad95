"""Manifests: tables with the patient and other details of each file of a study.

Spreadsheet programs write them with the encoding and separator of their country, so both are detected.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from webapp.refusals import Refused
from webapp.studies.choices import Sex, View
from webapp.studies.files import names
from webapp.studies.particulars import OLDEST, Particulars

NAME = "manifest.csv"
COLUMNS = ("file", "patient", "age", "sex", "view", "comment")
#: Far more than 5,000 rows need.
MAX_BYTES = 4 * 2**20
SEPARATORS = ",;\t|"
#: The most rows, files or values that a report lists. It counts all of them.
LISTED = 20
#: Bytes that are used to guess the encoding.
SAMPLE = 2**16
_SEXES = {"F": Sex.FEMALE, "FEMALE": Sex.FEMALE, "M": Sex.MALE, "MALE": Sex.MALE, "O": Sex.OTHER, "OTHER": Sex.OTHER}
#: Views under the names that people and DICOM (View Position) use.
VIEWS = {"PA": View.PA, "AP": View.AP, **dict.fromkeys(("LATERAL", "LAT", "LL", "RL"), View.LATERAL)}
_UNKNOWN = ("", "U", "UNKNOWN", "?", "-")


@dataclass(frozen=True)
class Row:
    """One row of a manifest."""

    file: str
    particulars: Particulars


@dataclass
class Manifest:
    """A manifest's rows, and its warnings, each as ``{code, detail}``."""

    rows: list[Row] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)


def is_manifest(name: str) -> bool:
    """Whether a file's name is that of a manifest."""
    return folder_and_name(name)[1].lower() == NAME


def folder_and_name(name: str) -> tuple[str, str]:
    """Split a name that the page has sent into its folder, empty or with a slash at the end, and the rest."""
    folder, _, rest = name.rpartition(names.IN_FOLDER)
    return (folder.replace(names.IN_FOLDER, "/") + "/" if folder else ""), rest


def too_large() -> Refused:
    return Refused("manifest_too_large", f"The manifest is larger than {MAX_BYTES // 2**20} MB, so it was not read.")


def read(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        Refused: ``manifest_too_large`` or ``manifest_unreadable``.
    """
    if len(content) > MAX_BYTES:
        raise too_large()
    lines = _lines(_text(content))
    try:
        header = [names.clean(cell).lower() for cell in next(lines, [])]
        if "file" not in header:
            raise Refused(
                "manifest_unreadable",
                f"The manifest's first line does not name the column 'file'. Columns are: {', '.join(COLUMNS)}.",
            )
        return _manifest(header, lines)
    except csv.Error as error:
        raise Refused("manifest_unreadable", f"The manifest cannot be read as a table: {error}.") from None


def _manifest(header: Sequence[str], lines: Iterator[list[str]]) -> Manifest:
    places = {name: header.index(name) for name in COLUMNS if name in header}
    manifest, invalid, without_patient = Manifest(), [], 0
    for number, cells in enumerate(lines, 2):
        row = {name: names.clean(cells[place]) for name, place in places.items() if place < len(cells)}
        if not any(row.values()):
            continue
        values = {}
        for name, value in row.items():
            try:
                values[name] = _READ[name](value)
            except ValueError:
                invalid.append(f"{name} “{value[:50]}” in row {number}")
        file = str(values.pop("file", "")) or f"(no file in row {number})"
        particulars = Particulars(**values)  # type: ignore[arg-type]  # each of the type that its reader gives
        without_patient += bool(particulars.sex and not particulars.patient)
        manifest.rows.append(Row(file, particulars))
    unknown = [name or "(no name)" for place, name in enumerate(header) if place not in places.values()]
    if any(name != "(no name)" for name in unknown):
        text = f"{listed(unknown)}. Those that are known are: {', '.join(COLUMNS)}."
        manifest.warnings.append({"code": "manifest_column_unknown", "detail": f"Columns that were not read: {text}"})
    if invalid:
        text = f"Values that were not used: {listed(invalid)}."
        manifest.warnings.append({"code": "manifest_value_invalid", "detail": text})
    if without_patient:
        text = f"The sex in {without_patient} rows was not kept: it belongs to a patient, and these rows name none."
        manifest.warnings.append({"code": "manifest_sex_without_patient", "detail": text})
    return manifest


def listed(texts: Sequence[str]) -> str:
    """Return the first of some texts, and how many more there are."""
    more = f" and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return ", ".join(texts[:LISTED]) + more


def _text(content: bytes) -> str:
    """Decode a table to text, without its byte order mark."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        import chardet  # its models take half a second to load, and few manifests need them

        encoding = chardet.detect(content[:SAMPLE])["encoding"] or "cp1252"
        return content.decode(encoding, errors="replace")


def _lines(text: str) -> Iterator[list[str]]:
    """Split a table into lines, by the separator with which its first line has the most known columns."""
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep="):  # a line that only Excel uses
        text = rest
        first = rest.partition("\n")[0]

    def known(separator: str) -> int:
        cells = next(csv.reader([first], delimiter=separator), [])
        return sum(names.clean(cell).lower() in COLUMNS for cell in cells)

    return csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=known), strict=True)


def _age(text: str) -> float | None:
    if text.upper() in _UNKNOWN:
        return None
    age = float(text.replace(",", "."))
    if not (math.isfinite(age) and 0 <= age <= OLDEST):
        raise ValueError(text)
    return age


def _one_of(values: dict[str, str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        upper = text.upper()
        if upper not in values and upper not in _UNKNOWN:
            raise ValueError(text)
        return str(values.get(upper, ""))

    return read


def _at_most(length: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > length:
            raise ValueError(text)
        return text

    return read


#: The functions that read the columns' values. They raise ValueError for a value that cannot be used.
_READ: dict[str, Callable[[str], str | float | None]] = {
    "file": str,
    "patient": _at_most(128),
    "age": _age,
    "sex": _one_of(dict(_SEXES)),
    "view": _one_of(dict(VIEWS)),
    "comment": _at_most(500),
}
