"""The commands for pictures of other things and for other hospitals' X-rays."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add them to the command line's subparsers."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", type=Path, required=True, help="the bundle")
    common.add_argument("--data", type=Path, required=True, help="its training data: NORMAL/ and PNEUMONIA/")
    common.add_argument("--also", type=Path, action="append", default=[], help="more renditions, same layout")

    novelty = commands.add_parser(
        "novelty", parents=[common], help="fit and measure a bundle's check for what is no frontal chest X-ray"
    )
    novelty.add_argument("--external", type=Path, help="other hospitals' chests, with an index.csv")
    novelty.add_argument("--not-chests", type=Path, help="pictures that are no frontal chest, with an index.csv")
    novelty.add_argument("--made", type=Path, help="the folder that the command laterals made")
    novelty.add_argument("--others", type=Path, help="more pictures to measure on; each folder in it is a kind")
    novelty.add_argument("--features", type=Path, help="a file to keep features in, so that a second run is short")
    novelty.add_argument("--write", action="store_true", help="put the check into the bundle")
    novelty.set_defaults(run=_novelty)

    laterals = commands.add_parser("laterals", help="make chests from the side, and from the front, of a CT")
    laterals.add_argument("--ct", type=Path, required=True, help="the DICOM files of one series of a chest")
    laterals.add_argument("--output", type=Path, required=True, help="a folder")
    laterals.set_defaults(run=_laterals)

    elsewhere = commands.add_parser(
        "elsewhere", parents=[common], help="write into a bundle how it reads other hospitals' chests"
    )
    elsewhere.add_argument("--external", type=Path, required=True, help="other hospitals' chests, with an index.csv")
    elsewhere.set_defaults(run=_elsewhere)

    groups = commands.add_parser(
        "groups", parents=[common], help="write into a bundle its figures by groups of patients, and draw its failures"
    )
    groups.add_argument("--external", type=Path, required=True, help="other hospitals' chests, with an index.csv")
    groups.set_defaults(run=_groups)


def _novelty(arguments: argparse.Namespace) -> None:
    from ml.evaluation.novelty_pictures import Pictures
    from ml.evaluation.novelty_report import report

    pictures = Pictures(
        arguments.external, arguments.not_chests, arguments.made, arguments.others, arguments.features
    )  # fmt: skip
    report(arguments.model, arguments.data, also=arguments.also, pictures=pictures, write=arguments.write)


def _laterals(arguments: argparse.Namespace) -> None:
    from ml.evaluation.made_laterals import write

    write(arguments.ct, arguments.output)


def _elsewhere(arguments: argparse.Namespace) -> None:
    from ml.evaluation.elsewhere_report import report

    report(arguments.model, arguments.data, arguments.external, also=arguments.also)


def _groups(arguments: argparse.Namespace) -> None:
    from ml.evaluation.groups_report import report

    report(arguments.model, arguments.data, arguments.external, also=arguments.also)
