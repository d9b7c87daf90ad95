"""A study's table as LibreOffice opens it."""

import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.webapp.clients import JPEG
from webapp.studies.models import Image

pytestmark = [pytest.mark.django_db, pytest.mark.long]

TABLE, OFFICE, TEXT = (f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}" for name in ("table", "office", "text"))
#: Commas, double quotes and UTF-8: without its dialog LibreOffice ignores the byte order mark.
IMPORT = "--infilter=CSV:44,34,76,1"
NAMES = (
    "Größe 1,5 – Ähre.jpg", "=1+1", "＝1+1", "-2+3", "@SUM(1)", "\t=1+1", 'two "quoted" names', "a; b, c",
    "naïve\n2nd line.jpg",
)  # fmt: skip


def open_in_libreoffice(table: Path) -> list[list[tuple[str, str]]]:
    """Open a table in LibreOffice and return the sheet's rows: kind and text of each cell."""
    if not (soffice := shutil.which("soffice")):
        pytest.skip("LibreOffice is not installed")
    subprocess.run(
        [soffice, f"-env:UserInstallation=file://{table.parent}/profile", "--headless", IMPORT, "--convert-to", "fods",
         "--outdir", str(table.parent), str(table)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    sheet = ET.parse(table.with_suffix(".fods")).getroot()
    assert not [cell for cell in sheet.iter(f"{TABLE}table-cell") if cell.get(f"{TABLE}formula")]
    return [
        [cell_value for cell in row.iter(f"{TABLE}table-cell") for cell_value in _cells(cell)]
        for row in sheet.iter(f"{TABLE}table-row")
    ]


def _cells(cell: ET.Element) -> list[tuple[str, str]]:
    """Return a cell as many times as it is repeated, at most 30."""
    kind = cell.get(f"{OFFICE}value-type", "")
    value = cell.get(f"{OFFICE}value") or "\n".join("".join(part.itertext()) for part in cell.iter(f"{TEXT}p"))
    return [(kind, value)] * min(int(cell.get(f"{TABLE}number-columns-repeated", 1)), 30)


def test_a_table_opens_with_all_letters_and_numbers_and_no_formula(client, read, tmp_path):
    study = client.upload_study({f"{number}.jpg": JPEG for number in range(len(NAMES))}, patient="Łódź-7").json()
    images = list(Image.objects.order_by("filename"))
    read(*images, pneumonia=0.4375)
    for image, name in zip(images, NAMES, strict=True):
        Image.objects.filter(pk=image.pk).update(filename=name, comment="=HYPERLINK(1)", age_years=2.5)
    table = tmp_path / "results.csv"
    table.write_bytes(client.get(study["results_url"]).getvalue())
    header, *rows = open_in_libreoffice(table)
    cells = [dict(zip([name for _, name in header], row, strict=False)) for row in rows]
    by_id = {row["id"][1]: row for row in cells if row.get("id", ("", ""))[1]}
    assert by_id.keys() == {str(image.pk) for image in images}
    for image, name in zip(images, NAMES, strict=True):
        row = by_id[str(image.pk)]
        assert row["filename"][0] == "string"
        assert row["filename"][1].lstrip("'").split() == name.split()
        assert row["patient"] == ("string", "Łódź-7")
        assert row["comment"] == ("string", "'=HYPERLINK(1)")
        for column, value in (("probability", 0.4375), ("threshold", 0.5), ("age", 2.5)):
            assert row[column][0] == "float", column
            assert float(row[column][1]) == value
        assert row["created_at"] == ("string", Image.objects.get(pk=image.pk).created_at.isoformat())
