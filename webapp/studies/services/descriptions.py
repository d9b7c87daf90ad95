"""Collect the details of each image of an upload from the form's fields and from manifests."""

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

#: An image's place: the number of its file in the upload, or the file's id, and the image's index if the file is a ZIP.
Place = tuple[int | UUID, int | None]


@dataclass
class Descriptions:
    """The details of an upload's images.

    Attributes:
        common: the details of images without a row in a manifest.
        by_place: the details of images with a row, by place.
        report: the report for :attr:`webapp.studies.models.Study.manifest`; None without a manifest.
    """

    common: Particulars = field(default_factory=Particulars)
    by_place: dict[Place, Particulars] = field(default_factory=dict)
    report: dict[str, Any] | None = None

    def for_image(self, number: int, index: int | None = None) -> Particulars:
        return self.by_place.get((number, index), self.common)

    def for_archive(self, number: int, indexes: Sequence[int]) -> dict[str, Any] | None:
        """Return the details of a ZIP's images, as :attr:`webapp.studies.models.Archive.particulars` stores them."""
        details = {str(index): self.for_image(number, index).as_json() for index in indexes}
        return {index: row for index, row in details.items() if row} or None

    def people(self) -> dict[str, str]:
        """Return the identifiers of the patients in the rows, each with the first sex that a row gives."""
        people: dict[str, str] = {}
        for details in self.by_place.values():
            if details.patient:
                people[details.patient] = people.get(details.patient) or details.sex
        return people

    def report_with(self, patients: dict[str, Patient]) -> dict[str, Any] | None:
        """Return the report, with a warning if a patient's stored sex differs from a row. The stored value is kept."""
        rows = (details for details in self.by_place.values() if details.patient and details.sex)
        differ = sorted({details.patient for details in rows if details.sex != patients[details.patient].sex})
        if not (differ and self.report):
            return self.report
        text = f"These patients have a different sex here, which was not changed: {listed(differ)}."
        warning = {"filename": "", "code": "manifest_sex_differs", "detail": text}
        return {**self.report, "warnings": [*self.report["warnings"], warning]}


def describe(image: Image, details: Particulars) -> None:
    """Set an image's details except the patient, who is a separate row."""
    image.age_years, image.view, image.comment = details.age, details.view or None, details.comment or None


def read(contents: Contents, common: Particulars) -> Descriptions:
    """Collect the details of each image. A ZIP's own manifest takes precedence over other manifests."""
    scopes: list[tuple[FoundManifest, set[int | UUID]]] = [
        (upload.manifest, {number}) for number, upload in enumerate(contents.sent) if upload.manifest
    ]
    scopes += [(manifest, set(range(len(contents.sent)))) for manifest in contents.manifests]
    return match(scopes, dict(_paths(contents)), common)


def match(
    scopes: Sequence[tuple[FoundManifest, set[int | UUID]]],
    paths: dict[Place, list[str]],
    common: Particulars,
    with_patient: Collection[Place] = (),
) -> Descriptions:
    """Find the manifest's row for each image.

    Args:
        scopes: manifests in order of precedence, each with the files that it is about.
        paths: the parts of each image's path.
        common: the details for everything that rows leave out.
        with_patient: images that need no row, because they have a patient of their own already.
    """
    matched = Descriptions(common)
    if not scopes:
        return matched
    matched.report = report = empty_report()
    for manifest, numbers in scopes:
        if isinstance(manifest.read, Refused):
            error = {"filename": manifest.filename, "code": manifest.read.code, "detail": manifest.read.detail}
            report["errors"].append(error)
            continue
        files = {place: path for place, path in paths.items() if place[0] in numbers}
        rows, without_file, doubts = _rows(manifest.read, _Files(files, manifest))
        for place, row in rows.items():
            matched.by_place.setdefault(place, row.over(common))
        report["rows"] += len(manifest.read.rows)
        _add(report["rows_without_file"], without_file)
        doubts = manifest.read.warnings + doubts
        report["warnings"] += [{"filename": manifest.filename, **doubt} for doubt in doubts]
    report["files"] = len(matched.by_place)
    described = {*matched.by_place, *with_patient}
    _add(report["files_without_row"], ["/".join(path) for place, path in paths.items() if place not in described])
    return matched


def empty_report() -> dict[str, Any]:
    return {
        "rows": 0,
        "files": 0,
        "rows_without_file": {"count": 0, "names": []},
        "files_without_row": {"count": 0, "names": []},
        "warnings": [],
        "errors": [],
    }


def joined(first: dict[str, Any] | None, added: dict[str, Any] | None) -> dict[str, Any] | None:
    """Merge the report on a study's first files with the report on added files."""
    if not (first and added):
        return first or added
    lists = {name: first[name] + added[name] for name in ("warnings", "errors")}
    for name in ("rows_without_file", "files_without_row"):
        listed_names = first[name]["names"] + added[name]["names"]
        lists[name] = {"count": first[name]["count"] + added[name]["count"], "names": listed_names[:LISTED]}
    return {"rows": first["rows"] + added["rows"], "files": first["files"] + added["files"], **lists}


def _add(total: dict[str, Any], new_names: Sequence[str]) -> None:
    total["count"] += len(new_names)
    total["names"] = [*total["names"], *new_names][:LISTED]


def _paths(contents: Contents) -> Iterator[tuple[Place, list[str]]]:
    for number, upload in enumerate(contents.sent):
        name = names.filename(str(upload.file.name))
        if upload.entries is None:
            yield (number, None), [name]
        else:
            yield from paths_in_zip(number, name, upload.entries)


def paths_in_zip(key: int | UUID, name: str, entries: Sequence[Entry]) -> Iterator[tuple[Place, list[str]]]:
    """Yield the places and paths of a ZIP's images."""
    for entry in entries:
        yield (key, entry.index), [name, *entry.filename.split("/")]


def _key(path: str) -> tuple[str, ...]:
    """Return a path's parts in the form that is compared. The page sends a file in a folder with a dash in its name."""
    return tuple(names.parts(names.clean(path).replace(names.IN_FOLDER, "/").casefold()))


class _Files:
    """The files that a manifest's rows may mean, by the ends of their paths."""

    def __init__(self, paths: dict[Place, list[str]], manifest: FoundManifest) -> None:
        self._ends: dict[tuple[str, ...], dict[int, list[Place]]] = defaultdict(lambda: defaultdict(list))
        self._whole: dict[tuple[str, ...], list[Place]] = defaultdict(list)
        self._folder = _key(manifest.folder)
        for place, path in paths.items():
            parts = _key("/".join(path))
            for start in range(len(parts)):
                self._ends[parts[start:]][len(parts)].append(place)
            self._whole[parts if place[1] is None else parts[1:]].append(place)

    def matching(self, file: str) -> list[Place]:
        """Return the files that a row may mean.

        These are the files whose paths end with the row's path; of these, those in the fewest folders. If there are
        none, it is a file that was sent without the folders in the row's path.
        """
        parts = _key(file)
        if found := self._ends.get(self._folder + parts) or self._ends.get(parts):
            return found[min(found)]
        return next((self._whole[parts[start:]] for start in range(1, len(parts)) if parts[start:] in self._whole), [])


def _rows(manifest: Manifest, files: _Files) -> tuple[dict[Place, Particulars], list[str], list[dict[str, str]]]:
    """Return the row of each file, the rows without a file, and warnings about unclear rows.

    Unclear rows are not used: a result must not be given to the wrong patient.
    """
    rows: dict[Place, list[Particulars]] = defaultdict(list)
    name_of: dict[Place, str] = {}
    without_file: list[str] = []
    ambiguous: list[str] = []
    for row in manifest.rows:
        places = files.matching(row.file)
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
        text = f"Files of which no row was used, since several rows say different things: {_names(repeated, name_of)}."
        doubts.append({"code": "manifest_file_repeated", "detail": text})
    return {place: found[0] for place, found in rows.items() if place not in repeated}, without_file, doubts


def _names(places: Sequence[Place], name_of: dict[Place, str]) -> str:
    return listed([name_of[place] for place in places])
