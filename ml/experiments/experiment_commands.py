"""The commands that compare bundles, recipes and trainings."""

import argparse
import json
import math
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add all three to the command line's subparsers."""
    compare = commands.add_parser("compare", help="measure bundles and recipes side by side on the same patients")
    compare.add_argument("--data", type=Path, required=True, help="holds NORMAL/ and PNEUMONIA/")
    compare.add_argument("--also", type=Path, action="append", default=[], help="more renditions, same layout")
    compare.add_argument("--held-out", action="store_true",
                         help="measure bundles only on patients that their own trainings held out")  # fmt: skip
    compare.add_argument("--work", type=Path, help="recipes are trained here; a training resumes from it")
    compare.add_argument("--weights", type=_weights, action="append", default=[], metavar="ARCH=PATH",
                         help="what recipes of this network start from (Keras' notop file)")  # fmt: skip
    compare.add_argument("--epochs", type=_count, help="a quick try: at most so many; 0 trains nothing")
    compare.add_argument("--limit", type=_count, help="a quick try: at most so many files of each class")
    compare.add_argument("--seconds", type=float, default=5.0, help="how long each speed is measured")
    compare.add_argument("--json", type=Path, help="write everything here")
    compare.add_argument("--figure", type=Path, help="draw a PNG here")
    compare.add_argument("--csv", type=Path, help="write the table here")
    compare.add_argument("--markdown", type=Path, help="write what is printed here")
    compare.add_argument("models", nargs="+", metavar="MODEL",
                         help="a bundle's folder, a recipe's name or its TOML; the first is the standard")  # fmt: skip
    compare.set_defaults(run=_compare)

    folds = commands.add_parser("folds", help="the figures of a recipe from its trainings of the fold blocks")
    folds.add_argument("--model", type=Path, help="a bundle of the same recipe to write them into, with its card")
    folds.add_argument("--external", type=Path, help="the other hospitals' chests, for intervals and subgroups")
    folds.add_argument("works", type=Path, nargs="+", metavar="WORK", help="the --work of each seed's training")
    folds.set_defaults(run=_folds)

    table = commands.add_parser("table", help="runs side by side, on each held-out condition, as Markdown")
    table.add_argument("runs", nargs="+", metavar="[NAME=]PATH", help="a training's report.json, or a bundle's folder")
    table.set_defaults(run=_table)


def _compare(arguments: argparse.Namespace) -> None:
    from ml.experiments import comparison_tables
    from ml.experiments.compare import compare

    report = compare(
        arguments.models, arguments.data, also=arguments.also, weights=dict(arguments.weights), work=arguments.work,
        epochs=arguments.epochs, limit=arguments.limit, held_out=arguments.held_out, seconds=arguments.seconds,
        json_file=arguments.json,
    )  # fmt: skip
    text = comparison_tables.markdown(report)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text)
    if arguments.csv:
        comparison_tables.write_csv(report, arguments.csv)
    if arguments.figure:
        from ml.evaluation.figures import draw_comparison

        counts = report["data"]
        draw_comparison(arguments.figure, report["models"], f"{counts['files']} files of {counts['patients']} patients")


def _weights(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not ARCH=PATH")
    return name, Path(path)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return int(text)


def _folds(arguments: argparse.Namespace) -> None:
    from ml.bundles.bundle import Bundle
    from ml.dataset import external
    from ml.evaluation import card, folds_intervals
    from ml.experiments import folds, folds_figures

    answers = [folds.load(work) for work in arguments.works]
    print(folds_figures.text(answers))
    if arguments.model:
        bundle = Bundle.read(arguments.model)
        figures = {name: value for name, value in folds_figures.figures(answers).items() if not math.isnan(value)}
        entry = {"trainings": len(answers), "figures": figures, **folds_figures.doubts(answers)}
        if arguments.external:
            chests = external.read(arguments.external)
            entry["intervals"] = folds_intervals.intervals(figures, chests)
            entry["groups"] = folds_figures.by_group(answers, chests)
        (bundle.path / "bundle.json").write_text(json.dumps({**bundle.meta, "folds": entry}, indent=2) + "\n")
        card.refresh(Bundle.read(arguments.model))


def _table(arguments: argparse.Namespace) -> None:
    from ml.experiments.table import print_table

    print_table(arguments.runs)
