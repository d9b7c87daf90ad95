"""The commands."""

from __future__ import annotations

import argparse
import getpass
import os
import platform
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from pneumoqueue import account, files, show, upload
from pneumoqueue.errors import ExitCode, NotSignedIn, Unreachable, UsageError
from pneumoqueue.journal import Journal
from pneumoqueue.manifest import Manifest
from pneumoqueue.report import Report
from pneumoqueue.server import STUDIES, TOKEN, Server
from pneumoqueue.watch import Watch


def _server(options: argparse.Namespace, report: Report, user: account.Account) -> Server:
    return Server(user.url, user.token, patience=options.patience, notify=report.message)


def _fields(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in ("patient", "department", *upload.OF_FILES)}
    return {name: value for name, value in given.items() if value is not None}


def login(options: argparse.Namespace, report: Report) -> ExitCode:
    kept = account.saved() if not options.url else None
    text = options.url or os.environ.get("PNEUMOQUEUE_URL") or (kept.url if kept else input("Server: "))
    url = account.clean_url(text)
    if url.startswith("http://") and httpx.URL(url).host not in ("localhost", "127.0.0.1", "::1"):
        report.message("Without https:// others in the network can read your password and what you send.")
    if options.token_stdin:
        name, token = options.username or "", sys.stdin.readline().strip()
        with_token = Server(url, token, patience=options.patience, notify=report.message)
        with_token.get(STUDIES, page_size=1)  # which refuses a token that is not valid
    else:
        name = options.username or input("User name: ")
        password = sys.stdin.readline().rstrip("\n") if options.password_stdin else getpass.getpass()
        server = Server(url, patience=options.patience, notify=report.message)
        asked = {"username": name, "password": password, "name": f"pneumoqueue on {platform.node()}"[:100]}
        token = server.post(TOKEN, asked)["token"]
    account.save(account.Account(url, token, name))
    report.message(f"Signed in at {url}{f' as {name}' if name else ''}. The token is in {account.login_file()}")
    return ExitCode.DONE


def logout(options: argparse.Namespace, report: Report) -> ExitCode:
    kept = account.saved()
    if kept is None:
        raise NotSignedIn("You are not signed in.")
    account.forget()
    try:
        _server(options, report, kept).delete(TOKEN)
    except NotSignedIn:
        pass  # it has expired, or was revoked
    except Unreachable as error:
        raise Unreachable(f"{error} The token is forgotten here, and still valid there.") from None
    report.message("Signed out.")
    return ExitCode.DONE


def upload_files(options: argparse.Namespace, report: Report) -> ExitCode:
    paths: list[Path] = options.paths
    everything, manifest = _files(paths, options.manifest)
    user = account.current()
    fields = _fields(options)
    # Folders of the same name are different studies; a name that was given means one, whatever is added to it. Files of
    # several ages and views may be added.
    name, place = (options.study, "") if options.study else _name(paths)
    field_texts = [f"{field}={value}" for field, value in sorted(fields.items()) if field not in upload.OF_FILES]
    server = _server(options, report, user)
    for problem in manifest.match(everything) if manifest else ():
        report.message(problem)
    with closing(Journal("upload", user.key, name, place, *field_texts)) as journal, report:
        if options.new:
            journal.forget()
        report.begin(f"Sending {len(everything)} files", sum(file.size for file in everything))
        sender = upload.Upload(server, journal, report, name=name, fields=fields, manifest=manifest,
                               part_files=options.part_files)  # fmt: skip
        outcome = sender.run(everything)
        report.end()
        studies = journal.studies()
        failed = list(outcome.failed)
        for study in studies:
            if options.wait:
                upload.wait(server, report, study)
            number, some = upload.failures(server, study)
            failed += some
            if number > len(some):
                failed.append(("…", f"{number - len(some)} more failed. See: pneumoqueue results {study}"))
    for file, why in failed:
        report.message(f"{file}: {why}")
    known = f", {outcome.known} had been sent before" if outcome.known else ""
    report.message(f"{outcome.sent} of {len(everything)} files sent{known}. Study {name}:")
    for study in studies:
        report.message(f"{user.url}/studies/{study}/")
        print(study)  # for scripts
    return ExitCode.SOME_FAILED if failed else ExitCode.DONE


def _name(paths: list[Path]) -> tuple[str, str]:
    """A study's name and place: of the only folder or file, or of the folder that contains them all."""
    place = paths[0].resolve()
    if len(paths) > 1:
        place = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    return (place.stem if place.is_file() else place.name) or "study", str(place)


def _files(paths: list[Path], given: Path | None) -> tuple[list[files.Found], Manifest | None]:
    """The files to send and their manifest: the one that was named, or the only one among the files."""
    found = list(files.find(paths))
    tables = [str(given.absolute())] if given else [file.path for file in found if file.name == files.MANIFEST]
    if len(tables) > 1:
        raise UsageError("Several of the folders have a manifest. Send them one by one, or name one with --manifest.")
    everything = [file for file in found if file.path not in tables]
    if not everything:
        raise UsageError("There is no file to send in what you named.")
    return everything, Manifest.read(Path(tables[0])) if tables else None


def status(options: argparse.Namespace, report: Report) -> ExitCode:
    show.status(_server(options, report, account.current()), options.id, as_json=options.json)
    return ExitCode.DONE


def results(options: argparse.Namespace, report: Report) -> ExitCode:
    server = _server(options, report, account.current())
    show.results(server, options.id, as_json=options.json, output=options.output)
    return ExitCode.DONE


def watch(options: argparse.Namespace, report: Report) -> ExitCode:
    if not options.folder.is_dir():
        raise UsageError(f"There is no folder {options.folder}.")
    user = account.current()
    with closing(Journal("watch", user.key, str(options.folder.resolve()))) as journal:
        watcher = Watch(_server(options, report, user), journal, report, options.folder, fields=_fields(options),
                        settle=options.settle, keep=options.keep)  # fmt: skip
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            watcher.settle_earlier()
            report.message(f"Watching {options.folder}. Ctrl-C ends it.")
            while watcher.look() or not options.once:
                time.sleep(options.interval)
        except KeyboardInterrupt:
            report.message("Ended.")
            return ExitCode.DONE
        return ExitCode.SOME_FAILED if watcher.refused else ExitCode.DONE


def delete(options: argparse.Namespace, report: Report) -> ExitCode:
    show.delete(_server(options, report, account.current()), options.id, sure=options.yes)
    return ExitCode.DONE
