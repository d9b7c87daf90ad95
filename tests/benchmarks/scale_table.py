"""`python -m tests.benchmarks.scale_table FOLDER`: print the table of docs/operations.md from ``scale``'s results."""

import argparse
import json
from pathlib import Path

from tests.benchmarks.scale import Figures

NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
ADMIN, MEMBER, MANAGER, READER = "administrator", "member of several", "manager", "reader"


def _for_roles(kind: str, *queries: str, roles: tuple[str, ...] = (ADMIN, MEMBER)) -> list[str]:
    return [f"{role}: {kind} {query}".strip() for query in queries for role in roles]


def _for_role(role: str, *names: str) -> list[str]:
    return [f"{role}: {name}" for name in names]


#: The table's rows, each with its operations.
ROWS: dict[str, list[str]] = {
    "images: administrator; member": _for_roles("images", ""),
    "a page half a year back, likewise": _for_roles("images", ", deep"),
    "`status=failed`; `group=positive`; `reviewed=false`, as member": _for_roles(
        "images", "status=failed", "group=positive", "reviewed=false", roles=(MEMBER,)
    ),
    "`warning`; with `group` and `reviewed`, as member": _for_roles(
        "images", "warning=end_missing", "warning=end_missing&group=positive&reviewed=true", roles=(MEMBER,)
    ),
    "`search`: nothing found; a million match, of which many are new": _for_roles(
        "images", "search=nothing", "search=IM-", roles=(ADMIN,)
    ),
    "`search=IM-01` (100,000 match, all old): administrator; member": _for_roles("images", "search=IM-01"),
    "the same with `group=positive&reviewed=true`": _for_roles("images", "search=IM-01&group=positive&reviewed=true"),
    "`search=PAT-001` (100,000 images of 10,000 patients, all old)": _for_roles("images", "search=PAT-001"),
    "studies: administrator; member": _for_roles("studies", ""),
    "`status=queued`; `running`; `finished`; `cancelled`, as member": _for_roles(
        "studies", "status=queued", "status=running", "status=finished", "status=cancelled", roles=(MEMBER,)
    ),
    "`search=study 1` (11,000 match); with `status=finished`, as member": _for_roles(
        "studies", "search=study 1", "status=finished&search=study 1", roles=(MEMBER,)
    ),
    "by their images: `group=positive`; `warning`; `label` and `priority`, as member": _for_roles(
        "studies", "group=positive", "warning=end_missing", "label=PNEUMONIA&priority=interactive", roles=(MEMBER,)
    ),
    "patients: all; `search=PAT-001` (10,000 match)": _for_roles("patients", "", "search=PAT-001", roles=(ADMIN,)),
    "page of images: administrator; member": _for_roles("page", "/images/"),
    "page of studies: administrator; member": _for_roles("page", "/studies/"),
    "failures: administrator; member; manager": _for_roles("page", "/failures/", roles=(ADMIN, MEMBER, MANAGER)),
    "shared with someone; news": _for_role(MEMBER, "page /shared/", "page /news/"),
    "worklist: a reader of 3 departments; of 20; an administrator": [
        "reader: worklist", "radiologist of 20: worklist", "administrator: worklist",
    ],
    "the same by the API": [
        "reader: worklist (API)", "radiologist of 20: worklist (API)", "administrator: worklist (API)",
    ],
    "worklist of a reader: `group=unclear`; `stage=second`; `stage=done`; half a year on": _for_role(
        READER, "worklist group=unclear", "worklist stage=second", "worklist stage=done", "worklist deep"
    ),
    "an image of the worklist, with the next and the previous one; keeping it open; a verdict": _for_role(
        READER, "worklist's image, next and previous", "worklist's image is kept open", "give a verdict, change it"
    ),
    "worklist of a study of 5,000; an image of it": _for_role(
        ADMIN, "worklist of a study of 5,000", "worklist's image of a study of 5,000"
    ),
    "queue page: manager; administrator": [f"{role}: queue page" for role in (MANAGER, ADMIN)],
    "its figures, asked for every few seconds": [f"{role}: queue page's figures" for role in (MANAGER, ADMIN)],
    "pause and resume a department; an image's timeline": _for_role(
        MANAGER, "pause and resume a department", "an image's timeline"
    ),
    "agreement with readers: manager; administrator": [
        f"{role}: agreement with readers" for role in (MANAGER, ADMIN)
    ],
    "audit: all; of a busy person, as manager": ["administrator: audit", "manager: audit person=seed-0"],
    "status of an image; of a study of 5,000": _for_role(ADMIN, "status of an image", "status of a study of 5,000"),
    "page 100 of a study of 5,000": _for_role(ADMIN, "page 100 of a study of 5,000"),
    "admin site: images; search of 100,000; people; deliveries": [
        "admin site: studies/image/", "admin site: studies/image/?q=IM-01", "admin site: auth/user/",
        "admin site: outbox/delivery/",
    ],
    "claim 16 images and give them back": ["claim 16 and give them back"],
    "reconcile, 2,000 images waiting": ["reconcile, 2,000 waiting"],
    "purge with nothing to do; delete 10 images": ["purge, nothing to do", "a step of a deletion"],
    "metrics": ["metrics"],
}  # fmt: skip


def _cell(results: dict[str, Figures], names: list[str]) -> str:
    figures = (results.get(name) for name in names)
    return "; ".join(
        f"{operation.median:.0f}, {operation.late:.0f} ({operation.database:.0f})" if operation else "–"
        for operation in figures
    )


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
        print(f"| {label} | {' | '.join(_cell(results, names) for results in databases.values())} |")
    for database, results in databases.items():
        slow = {name: row for name, row in results.items() if row.is_slow}
        print(f"\n{database}: {len(slow)} of {len(results)} are slow{':' if slow else ''}")
        for name, row in slow.items():
            print(f"  {name}: {row.median:.0f}, {row.late:.0f} ms, of these {row.database:.0f} in the database")


if __name__ == "__main__":
    main()
