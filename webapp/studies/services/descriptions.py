"""The details of each image of an upload, from the form's fields and from manifests."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from webapp.refusals import Refused
from webapp.studies.files import names
from webapp.studies.files.manifests import LISTED, Manifest, listed
from webapp.studies.files.zips import Entry
from webapp.studies.models import Image, Patient
from webapp.studies.particulars import Particulars
from webapp.studies.services.contents import Contents, FoundManifest

#: An image's place: its file's number in an upload or id, and its index if that file is a ZIP.
Place = tuple[int | UUID, int | None]


@dataclass
class Descriptions:
    """The details of an upload's images.

    Attributes:
        common: for images without a row.
        each: for images with a row in a manifest.
        report: as :attr:`webapp.studies.models.Study.manifest`; None without a manifest.
    """

    common: Particulars = field(default_factory=Particulars)
    each: dict[Place, Particulars] = field(default_factory=dict)
    report: dict[str, Any] | None = None

    def for_image(self, number: int, index: int | None = None) -> Particulars:
        return self.each.get((number, index), self.common)

    def for_archive(self, number: int, indexes: Sequence[int]) -> dict[str, Any] | None:
        """The details of a ZIP's images, as :attr:`webapp.studies.models.Archive.particulars` stores them."""
        found = {str(index): self.for_image(number, index).as_json() for index in indexes}
        return {index: one for index, one in found.items() if one} or None

    def people(self) -> dict[str, str]:
        """The patients that are named, each with the first sex that is given."""
        people: dict[str, str] = {}
        for one in self.each.values():
            if one.patient:
                people[one.patient] = people.get(one.patient) or one.sex
        return people

    def report_with(self, patients: dict[str, Patient]) -> dict[str, Any] | None:
        """The report, with a warning for patients whose stored sex differs from a row. The stored one stays."""
        rows = (one for one in self.each.values() if one.patient and one.sex)
        differ = sorted({one.patient for one in rows if one.sex != patients[one.patient].sex})
        if not (differ and self.report):
            return self.report
        text = f"These patients have a different sex here, which was not changed: {listed(differ)}."
        warning = {"filename": "", "code": "manifest_sex_differs", "detail": text}
        return {**self.report, "warnings": [*self.report["warnings"], warning]}


def describe(image: Image, given: Particulars) -> None:
    """Give an image its description, but for the patient, who is a row of their own."""
    image.age_years, image.view, image.comment = given.age, given.view or None, given.comment or None


def read(contents: Contents, common: Particulars) -> Descriptions:
    """Collect the details of each image. A ZIP's own manifest takes precedence over the others."""
    scopes: list[tuple[FoundManifest, set[int | UUID]]] = [
        (one.manifest, {number}) for number, one in enumerate(contents.sent) if one.manifest
    ]
    scopes += [(manifest, set(range(len(contents.sent)))) for manifest in contents.manifests]
    return match(scopes, dict(_paths(contents)), common)


def match(
    scopes: Sequence[tuple[FoundManifest, set[int | UUID]]],
    paths: dict[Place, list[str]],
    common: Particulars,
    named: Collection[Place] = (),
) -> Descriptions:
    """Find the row of each image.

    Args:
        scopes: manifests, the first of which takes precedence, each with the files that it is about.
        paths: the parts of each image's path.
        common: the details that rows complete.
        named: images that need no row, since it was said before whose they are.
    """
    found = Descriptions(common)
    if not scopes:
        return found
    found.report = report = empty_report()
    for manifest, numbers in scopes:
        if isinstance(manifest.read, Refused):
            error = {"filename": manifest.filename, "code": manifest.read.code, "detail": manifest.read.detail}
            report["errors"].append(error)
            continue
        files = {place: path for place, path in paths.items() if place[0] in numbers}
        rows, without_file, doubts = _rows(manifest.read, _Files(files, manifest))
        for place, row in rows.items():
            found.each.setdefault(place, row.over(common))
        report["rows"] += len(manifest.read.rows)
        _add(report["rows_without_file"], without_file)
        doubts = manifest.read.warnings + doubts
        report["warnings"] += [{"filename": manifest.filename, **doubt} for doubt in doubts]
    report["files"] = len(found.each)
    known = {*found.each, *named}
    _add(report["files_without_row"], ["/".join(path) for place, path in paths.items() if place not in known])
    return found


def empty_report() -> dict[str, Any]:
    return {
        "rows": 0,
        "files": 0,
        "rows_without_file": {"count": 0, "names": []},
        "files_without_row": {"count": 0, "names": []},
        "warnings": [],
        "errors": [],
    }


def joined(one: dict[str, Any] | None, more: dict[str, Any] | None) -> dict[str, Any] | None:
    """Merge the report of a study's first files with that of added ones."""
    if not (one and more):
        return one or more
    lists = {name: one[name] + more[name] for name in ("warnings", "errors")}
    for name in ("rows_without_file", "files_without_row"):
        found = one[name]["names"] + more[name]["names"]
        lists[name] = {"count": one[name]["count"] + more[name]["count"], "names": found[:LISTED]}
    return {"rows": one["rows"] + more["rows"], "files": one["files"] + more["files"], **lists}


def _add(counted: dict[str, Any], found: Sequence[str]) -> None:
    counted["count"] += len(found)
    counted["names"] = [*counted["names"], *found][:LISTED]


def _paths(contents: Contents) -> Iterator[tuple[Place, list[str]]]:
    for number, one in enumerate(contents.sent):
        name = names.filename(str(one.file.name))
        if one.entries is None:
            yield (number, None), [name]
        else:
            yield from paths_in_zip(number, name, one.entries)


def paths_in_zip(key: int | UUID, name: str, entries: Sequence[Entry]) -> Iterator[tuple[Place, list[str]]]:
    """The places and paths of a ZIP's images."""
    for entry in entries:
        yield (key, entry.index), [name, *entry.filename.split("/")]


def _key(path: str) -> tuple[str, ...]:
    """A path's parts, as they are compared. The page sends a file of a folder with a dash."""
    return tuple(names.parts(names.clean(path).replace(names.IN_FOLDER, "/").casefold()))


class _Files:
    """The files that a manifest may name, by the ends of their paths."""

    def __init__(self, paths: dict[Place, list[str]], manifest: FoundManifest) -> None:
        self._ends: dict[tuple[str, ...], dict[int, list[Place]]] = defaultdict(lambda: defaultdict(list))
        self._whole: dict[tuple[str, ...], list[Place]] = defaultdict(list)
        self._folder = _key(manifest.folder)
        for place, path in paths.items():
            parts = _key("/".join(path))
            for start in range(len(parts)):
                self._ends[parts[start:]][len(parts)].append(place)
            self._whole[parts if place[1] is None else parts[1:]].append(place)

    def named(self, file: str) -> list[Place]:
        """The files that a row may mean.

        These are the ones whose path ends as it is named, of these the ones in the fewest folders. Else it is a file
        that came without the folders that its row has.
        """
        parts = _key(file)
        if found := self._ends.get(self._folder + parts) or self._ends.get(parts):
            return found[min(found)]
        return next((self._whole[parts[start:]] for start in range(1, len(parts)) if parts[start:] in self._whole), [])


def _rows(manifest: Manifest, files: _Files) -> tuple[dict[Place, Particulars], list[str], list[dict[str, str]]]:
    """The row of each file, the rows without a file, and what is not clear. Of that nothing is used: a result must not
    come to the wrong patient."""
    rows: dict[Place, list[Particulars]] = defaultdict(list)
    name_of: dict[Place, str] = {}
    without_file: list[str] = []
    ambiguous: list[str] = []
    for row in manifest.rows:
        places = files.named(row.file)
        if len(places) == 1:
            rows[places[0]].append(row.particulars)
            name_of[places[0]] = row.file
        else:
            (ambiguous if places else without_file).append(row.file)
    repeated = [place for place, found in rows.items() if len(set(found)) > 1]
    doubts = []
    if ambiguous:
        text = f"Rows that were not used, since several files have the name: {listed(ambiguous)}."
        doubts.append({"code": "manifest_row_ambiguous", "detail": text})
    if repeated:
        text = f"Files of which no row was used, since several rows say different things: {_named(repeated, name_of)}."
        doubts.append({"code": "manifest_file_repeated", "detail": text})
    return {place: found[0] for place, found in rows.items() if place not in repeated}, without_file, doubts


def _named(places: Sequence[Place], name_of: dict[Place, str]) -> str:
    return listed([name_of[place] for place in places])
