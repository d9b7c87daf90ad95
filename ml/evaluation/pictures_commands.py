"""The commands that measure how well pictures with borders and photographs of films are read."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add both to the command line's subparsers."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", type=Path, required=True, help="the bundle")
    common.add_argument("--data", type=Path, required=True, help="its training data: NORMAL/ and PNEUMONIA/")
    common.add_argument("--also", type=Path, action="append", default=[], help="more renditions, same layout")
    common.add_argument("--json", type=Path, help="write the figures here")

    borders = commands.add_parser("borders", parents=[common], help="measure what cutting off borders does")
    borders.add_argument("--others", type=Path, help="other hospitals' X-rays; each folder in it is a source")
    borders.add_argument("--limit", type=int, default=150, help="held-out patients of each class")
    borders.add_argument("--bordered", type=int, default=20, help="of these, how many get every kind of border")
    borders.set_defaults(run=_borders)

    photographs = commands.add_parser(
        "photographs", parents=[common], help="measure what is noticed and read of photographs of films and screens"
    )
    photographs.add_argument("--others", type=Path, action="append", default=[],
                             help="pictures that are no such photographs; each folder in it is a source")  # fmt: skip
    photographs.add_argument("--limit", type=int, default=75, help="held-out patients of each class")
    photographs.set_defaults(run=_photographs)


def _borders(arguments: argparse.Namespace) -> None:
    from ml.evaluation.borders_report import report

    report(arguments.model, arguments.data, also=arguments.also, others=arguments.others, limit=arguments.limit,
           bordered_limit=arguments.bordered, json_file=arguments.json)  # fmt: skip


def _photographs(arguments: argparse.Namespace) -> None:
    from ml.evaluation.photographs_report import report

    report(arguments.model, arguments.data, also=arguments.also, others=arguments.others, limit=arguments.limit,
           json_file=arguments.json)  # fmt: skip
