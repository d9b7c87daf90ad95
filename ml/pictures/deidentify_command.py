"""The command ``deidentify``, which removes the identity of patients from DICOM files."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    cleaning = commands.add_parser("deidentify", help="write DICOM files without what identifies their patients")
    cleaning.add_argument("source", type=Path, metavar="IN", help="a folder with files; it is not changed")
    cleaning.add_argument("target", type=Path, metavar="OUT", help="the folder to write to; what is there stays")
    cleaning.add_argument("--key", type=Path, required=True,
                          help="the file with the secret that makes names; made where there is none")  # fmt: skip
    cleaning.add_argument("--dates", action="store_true", help="keep dates, all of a patient moved by as many days")
    cleaning.add_argument("--characteristics", action="store_true", help="keep age, sex, size, weight and the like")
    cleaning.add_argument("--device", action="store_true", help="keep what identifies the device")
    cleaning.add_argument("--areas", type=Path, help="a TOML file: where text is burned into a station's pixels")
    cleaning.add_argument("--find-text", action="store_true", help="look for text in the pixels (needs Tesseract)")
    cleaning.add_argument("--report", type=Path, help="write a line of JSON for each file here")
    cleaning.set_defaults(run=_deidentify)


def _deidentify(arguments: argparse.Namespace) -> int:
    from deidentify.areas import read_areas
    from deidentify.cleaning import Options
    from ml.pictures.deidentification import deidentify_folder

    areas = read_areas(arguments.areas) if arguments.areas else []
    options = Options(arguments.dates, arguments.characteristics, arguments.device, areas)
    return deidentify_folder(
        arguments.source,
        arguments.target,
        arguments.key,
        options,
        find_text=arguments.find_text,
        report=arguments.report,
    )
