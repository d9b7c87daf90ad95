"""The commands that train the two small networks, for lungs and orientation, that are used with every bundle."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add both to the command line's subparsers."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, required=True, help="the training data: NORMAL/ and PNEUMONIA/")
    common.add_argument("--external", type=Path, required=True, help="other hospitals' chests, with an index.csv")
    common.add_argument("--write", action="store_true", help="train on all of them, for the readings of every bundle")

    lungs = commands.add_parser(
        "lungs", parents=[common], help="measure what finds the lungs, on chests outlined by hand, and train it"
    )
    lungs.set_defaults(run=_lungs)

    upright = commands.add_parser(
        "upright", parents=[common], help="measure what tells whether a chest hangs upright, and train it"
    )
    upright.set_defaults(run=_upright)


def _lungs(arguments: argparse.Namespace) -> None:
    from ml.training import lungs

    lungs.report(arguments.data, arguments.external, write=arguments.write)


def _upright(arguments: argparse.Namespace) -> None:
    from ml.training import upright

    upright.report(arguments.data, arguments.external, write=arguments.write)
