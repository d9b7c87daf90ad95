"""`python -m tests.benchmarks.scale_table FOLDER`: the table in docs/operations.md, of what ``scale`` has measured."""

import argparse
import json
from pathlib import Path

from tests.benchmarks.scale import Figures

NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
ADMIN, MEMBER, MANAGER, READER = "administrator", "member of several", "manager", "reader"


def _of(kind: str, *queries: str, roles: tuple[str, ...] = (ADMIN, MEMBER)) -> list[str]:
    return [f"{role}: {kind} {query}".strip() for query in queries for role in roles]


def _by(role: str, *names: str) -> list[str]:
    return [f"{role}: {name}" for name in names]


#: The rows, each with the operations in it.
ROWS: dict[str, list[str]] = {
    "images: administrator; member": _of("images", ""),
    "a page half a year back, likewise": _of("images", ", deep"),
    "`status=failed`; `group=positive`; `reviewed=false`, as member": _of(
        "images", "status=failed", "group=positive", "reviewed=false", roles=(MEMBER,)
    ),
    "`warning`; with `group` and `reviewed`, as member": _of(
        "images", "warning=end_missing", "warning=end_missing&group=positive&reviewed=true", roles=(MEMBER,)
    ),
    "`search`: nothing found; a million match, of which many are new": _of(
        "images", "search=nothing", "search=IM-", roles=(ADMIN,)
    ),
    "`search=IM-01` (100,000 match, all old): administrator; member": _of("images", "search=IM-01"),
    "the same with `group=positive&reviewed=true`": _of("images", "search=IM-01&group=positive&reviewed=true"),
    "`search=PAT-001` (100,000 images of 10,000 patients, all old)": _of("images", "search=PAT-001"),
    "studies: administrator; member": _of("studies", ""),
    "`status=queued`; `running`; `finished`; `cancelled`, as member": _of(
        "studies", "status=queued", "status=running", "status=finished", "status=cancelled", roles=(MEMBER,)
    ),
    "`search=study 1` (11,000 match); with `status=finished`, as member": _of(
        "studies", "search=study 1", "status=finished&search=study 1", roles=(MEMBER,)
    ),
    "by their images: `group=positive`; `warning`; `label` and `priority`, as member": _of(
        "studies", "group=positive", "warning=end_missing", "label=PNEUMONIA&priority=interactive", roles=(MEMBER,)
    ),
    "patients: all; `search=PAT-001` (10,000 match)": _of("patients", "", "search=PAT-001", roles=(ADMIN,)),
    "page of images: administrator; member": _of("page", "/images/"),
    "page of studies: administrator; member": _of("page", "/studies/"),
    "failures: administrator; member; manager": _of("page", "/failures/", roles=(ADMIN, MEMBER, MANAGER)),
    "shared with someone; news": _by(MEMBER, "page /shared/", "page /news/"),
    "worklist: a reader of 3 departments; of 20; an administrator": [
        "reader: worklist", "radiologist of 20: worklist", "administrator: worklist",
    ],
    "the same by the API": [
        "reader: worklist (API)", "radiologist of 20: worklist (API)", "administrator: worklist (API)",
    ],
    "worklist of a reader: `group=unclear`; `stage=second`; `stage=done`; half a year on": _by(
        READER, "worklist group=unclear", "worklist stage=second", "worklist stage=done", "worklist deep"
    ),
    "an image of the worklist, with the next and the previous one; keeping it open; a verdict": _by(
        READER, "worklist's image, next and previous", "worklist's image is kept open", "give a verdict, change it"
    ),
    "worklist of a study of 5,000; an image of it": _by(
        ADMIN, "worklist of a study of 5,000", "worklist's image of a study of 5,000"
    ),
    "queue page: manager; administrator": [f"{role}: queue page" for role in (MANAGER, ADMIN)],
    "its figures, asked for every few seconds": [f"{role}: queue page's figures" for role in (MANAGER, ADMIN)],
    "pause and resume a department; an image's timeline": _by(
        MANAGER, "pause and resume a department", "an image's timeline"
    ),
    "agreement with readers: manager; administrator": [
        f"{role}: agreement with readers" for role in (MANAGER, ADMIN)
    ],
    "audit: all; of a busy person, as manager": ["administrator: audit", "manager: audit person=seed-0"],
    "status of an image; of a study of 5,000": _by(ADMIN, "status of an image", "status of a study of 5,000"),
    "page 100 of a study of 5,000": _by(ADMIN, "page 100 of a study of 5,000"),
    "admin site: images; search of 100,000; people; deliveries": [
        "admin site: studies/image/", "admin site: studies/image/?q=IM-01", "admin site: auth/user/",
        "admin site: outbox/delivery/",
    ],
    "claim 16 images and give them back": ["claim 16 and give them back"],
    "reconcile, 2,000 images waiting": ["reconcile, 2,000 waiting"],
    "purge with nothing to do; delete 10 images": ["purge, nothing to do", "a step of a deletion"],
    "metrics": ["metrics"],
}  # fmt: skip


def _cell(found: dict[str, Figures], names: list[str]) -> str:
    some = (found.get(name) for name in names)
    return "; ".join(f"{one.median:.0f}, {one.late:.0f} ({one.database:.0f})" if one else "–" for one in some)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    databases = {}
    for file in sorted(folder.glob("*.json"), reverse=True):
        measured = json.loads(file.read_text())
        databases[NAMES[file.stem]] = {name.strip(): Figures(*figures) for name, figures in measured.items()}
    print(f"| operation | {' | '.join(f'{name}: median, 95 % (database)' for name in databases)} |")
    print("|---|" + "---|" * len(databases))
    for label, names in ROWS.items():
        print(f"| {label} | {' | '.join(_cell(found, names) for found in databases.values())} |")
    for database, found in databases.items():
        slow = {name: one for name, one in found.items() if one.is_slow}
        print(f"\n{database}: {len(slow)} of {len(found)} are slow{':' if slow else ''}")
        for name, one in slow.items():
            print(f"  {name}: {one.median:.0f}, {one.late:.0f} ms, of these {one.database:.0f} in the database")


if __name__ == "__main__":
    main()
