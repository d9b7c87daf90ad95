"""The command line: arguments, and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from pneumoqueue import __version__, commands
from pneumoqueue.errors import ClientError, ExitCode
from pneumoqueue.report import Report
from pneumoqueue.server import PATIENCE
from pneumoqueue.upload import PART_FILES

#: What the server takes.
VIEWS = ("PA", "AP", "lateral", "unknown")
OLDEST = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    options = parser().parse_args(arguments)
    report = Report(quiet=getattr(options, "quiet", False))
    try:
        command: Callable[[argparse.Namespace, Report], ExitCode] = options.command
        return int(command(options, report))
    except ClientError as error:
        Report().message(f"pneumoqueue: {error}")
        return int(error.exit_code)
    except KeyboardInterrupt:
        Report().message("Interrupted. The same command again goes on where this ended.")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(
        prog="pneumoqueue",
        description="Send chest X-rays to a PneumoQueue service, and fetch what it found. Not a diagnosis.",
        epilog="Exit codes: 0 done, 1 some files failed or were refused, 2 wrong usage, 3 not signed in, 4 the server "
        "cannot be reached or takes nothing now, 5 the server refuses, 130 interrupted.",
    )
    main_parser.add_argument("--version", action="version", version=f"pneumoqueue {__version__}")
    subcommands = main_parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[..., ExitCode], summary: str) -> argparse.ArgumentParser:
        one = subcommands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        one.set_defaults(command=command)
        one.add_argument(
            "--patience",
            type=float,
            default=PATIENCE,
            metavar="SECONDS",
            help="repeat a request for so long while the server cannot answer (default: %(default)g)",
        )
        return one  # fmt: skip

    one = add("login", commands.login, "sign in with a user name and a password, or with a token")
    one.add_argument("url", nargs="?", metavar="URL", help="the server, such as https://xray.example")
    one.add_argument("--username", help="instead of being asked")
    one.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    one.add_argument("--token-stdin", action="store_true", help="read a token that you have made on the server's page")

    add("logout", commands.logout, "revoke the token, and forget it")

    one = add("upload", commands.upload_files, "send files, folders and ZIPs as a study")
    one.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER|ZIP")
    one.add_argument("--study", metavar="NAME", help="the study's name (default: the folder's or file's)")
    _add_whose(one)
    one.add_argument("--manifest", type=Path, metavar="FILE", help="a CSV that says of each file its patient and more "
                     "(default: manifest.csv in the folder)")  # fmt: skip
    one.add_argument("--wait", action="store_true", help="wait until everything is read")
    one.add_argument("--new", action="store_true", help="make a new study, though one of this name was sent before")
    one.add_argument("--part-files", type=_positive, default=PART_FILES, metavar="N",
                     help="files in one request (default: %(default)d)")  # fmt: skip
    one.add_argument("--quiet", action="store_true", help="print nothing but the study's id")

    one = add("status", commands.status, "show a study or an image, or your latest studies")
    one.add_argument("id", nargs="?", metavar="ID")
    one.add_argument("--json", action="store_true", help="as the API answers it")

    one = add("results", commands.results, "write a study's results")
    one.add_argument("id", metavar="ID")
    kinds = one.add_mutually_exclusive_group()
    kinds.add_argument("--csv", action="store_true", help="as a table (the default)")
    kinds.add_argument("--json", action="store_true", help="as an array of images")
    one.add_argument("-o", "--output", metavar="FILE", help="instead of standard output")

    one = add("watch", commands.watch, "send what appears in a folder, and move it to sent/ or refused/")
    one.add_argument("folder", type=Path, metavar="FOLDER")
    _add_whose(one)
    one.add_argument("--settle", type=float, default=5.0, metavar="SECONDS",
                     help="how long a file has to stay the same to be complete (default: %(default)g)")  # fmt: skip
    one.add_argument("--interval", type=float, default=2.0, metavar="SECONDS",
                     help="between two looks (default: %(default)g)")  # fmt: skip
    one.add_argument("--keep", action="store_true", help="leave files where they are")
    one.add_argument("--once", action="store_true", help="end when everything that is there has been sent")
    one.set_defaults(patience=float("inf"))

    one = add("delete", commands.delete, "delete a study or an image for good")
    one.add_argument("id", metavar="ID")
    one.add_argument("--yes", action="store_true", help="do not ask")
    return main_parser


def _add_whose(one: argparse.ArgumentParser) -> None:
    one.add_argument("--patient", metavar="ID", help="your identifier of the patient")
    one.add_argument("--department", metavar="SLUG", help="the department that it is for")
    one.add_argument(
        "--age", type=_age, metavar="YEARS", help="the patient's age when the X-rays were taken, such as 2.5"
    )
    one.add_argument("--view", choices=VIEWS, help="how the X-rays were taken")


def _age(text: str) -> float:
    age = float(text)
    if not 0 <= age <= OLDEST:
        raise ValueError(text)
    return age


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
