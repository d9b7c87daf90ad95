"""The sections of a model card that set its figures side by side, by groups of patients and by kinds of failure."""

from typing import Any

from ml.evaluation import groups

#: The number of images and of patients, an operating point, and ROC AUC, sensitivity and specificity. A figure is a
#: value, with the bounds of its interval if it has one.
Row = tuple[str, str, str, list[float], list[float], list[float]]

HOW = """\
Each row is of patients that the network which was measured has not learnt from. In brackets: 95 % intervals, in which a
patient with several images counts once. A figure of fewer than {fewest} images is left out (–)."""
OF_TRAININGS = """\
This network has learnt from the other hospitals' chests. So those rows are of the trainings of its recipe that held
them out, at the threshold that keeps a sensitivity of 0.97 on their own patients. `NIH, all` also has labels that a
program took from reports; about half of those pneumonias are wrong. Series of COVID-19 are labelled by case, and a
single image may look clear."""
OF_THE_NETWORK = """\
`read by radiologists` stands apart, because the other normal chests of that source were labelled by a program that read
their reports. Series of COVID-19 are labelled by case, and a single image may look clear."""
OTHERS = """\
Chests in which experts found something else than pneumonia, such as tuberculosis or changes without an opacity. The
share that is called pneumonia:"""
NO_GROUPS = """\
**Not measured for this network.** It has learnt from the chests that tell age, sex and view. Only trainings that held
them out can be measured on them (`python -m ml folds --external`), and the single answers of those behind the figures
above were not kept. The hospital that it learnt from gives neither age (one to five years) nor sex."""
GROUPS = """\
Of other hospitals' chests, so far as their index tells. The hospital that it learnt from gives neither age (one to five
years) nor sex. "too few": fewer than {fewest} images; the numbers are normal chests and pneumonias."""
FAILURES = """\
At `{at}`, one image of each held-out patient, and other hospitals' patients that it has not learnt from. The columns
say in how many misread images the strongest place of the map is on the lungs or beside them, between them (the heart),
or outside (arms, neck, belly, markers). In the rest there was no evidence, or no lungs were found."""
DRAWING = """\
![A drawing of where the evidence lay](failures.svg)

*A drawing, not an X-ray: the average of the maps of all misread images of a kind, on a sketched body. The darker the
orange, the more evidence; the ring is the strongest place; grey are the lungs as they were found on average. Kinds with
fewer than five images are not drawn.*"""


def text(meta: dict[str, Any]) -> list[str]:
    """The card's paragraphs and tables; empty if nothing was measured."""
    if "groups" not in meta:
        return []
    trainings = "folds" in meta
    parts = ["## Side by side", HOW.format(fewest=groups.FEWEST), OF_TRAININGS if trainings else OF_THE_NETWORK,
             _side_by_side(meta)]  # fmt: skip
    if meta["groups"]["others"]:
        parts += [OTHERS, _others(meta["groups"]["others"])]
    subgroups = _source(meta)["subgroups"]
    parts += ["## Age, sex and view", GROUPS.format(fewest=groups.FEWEST) if subgroups else NO_GROUPS]
    parts += [_subgroups(subgroups)] if subgroups else []
    return [*parts, "## Where it fails", FAILURES.format(at=meta["groups"]["at"]),
            _failures(meta["groups"]["failures"]), DRAWING]  # fmt: skip


def carried(meta: dict[str, Any]) -> str:
    """The uses that the figures support; empty if they were not measured."""
    if "groups" not in meta:
        return ""
    at = meta["groups"]["at"]
    plain = meta["held_out"]["points"][at]["plain"]
    parts = [
        f"**What the figures carry.** A second look at children aged one to five in the hospital that it learnt from: "
        f"of its held-out patients it misses {1 - plain['recall']:.1%} of the pneumonias and calls "
        f"{1 - plain['specificity']:.1%} of the normal chests pneumonia (`{at}`)."
    ]
    who = "trainings of its recipe" if "folds" in meta else "it"
    experts = ("NIH, experts", "nih_chestxray14, read by radiologists")
    read = (row for row in rows_elsewhere(meta) if row[0] in experts and row[4] and row[5])
    for _, _, _, _, recall, specificity in list(read)[:1]:
        parts.append(
            f"At another hospital, where radiologists read the images, {who} missed {_rest(recall)} of the pneumonias "
            f"and called {_rest(specificity)} of the normal chests pneumonia. So it is not for another hospital before "
            "it was measured and calibrated on that hospital's own images."
        )
    normal, pneumonia = meta["groups"]["small_children"]
    if min(normal, pneumonia) < groups.FEWEST:
        parts.append(
            f"Of other hospitals' chests {normal} normal and {pneumonia} with pneumonia are known to be of children "
            "under six. These are too few, so nothing is known of it for children elsewhere."
        )
    return " ".join(parts)


def _rest(figure: list[float]) -> str:
    """What a share leaves, with its interval."""
    value, low, high = figure
    return f"{1 - value:.1%} ({1 - high:.1%}–{1 - low:.1%})"


def _source(meta: dict[str, Any]) -> dict[str, Any]:
    """The figures by source: those of the trainings if the network has learnt from the sources."""
    found: dict[str, Any] = meta.get("folds", {}).get("groups") or meta["groups"]
    return found


def _side_by_side(meta: dict[str, Any]) -> str:
    lines = [
        "| images | n | at | ROC AUC | sensitivity | specificity |",
        "|---|---|---|---|---|---|",
    ]
    for name, n, at, *figures in [*_own(meta), *rows_elsewhere(meta)]:
        lines.append(f"| {name} | {n} | {at} | {' | '.join(map(_cell, figures))} |")
    return "\n".join(lines)


def _own(meta: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for point, measured in meta["held_out"]["points"].items():
        plain = measured["plain"]
        figures = [[plain[key], *plain["intervals"][key]] for key in ("roc_auc", "recall", "specificity")]
        rows.append(("own hospital, held-out patients", str(plain["n"]), point, figures[0], figures[1], figures[2]))
    if folds := meta.get("folds", {}).get("figures"):
        worst, specificity = folds["worst block, AUC"], folds["block, specificity"]
        rows += [
            ("own hospital, worst block of normals held out", "", "", [worst], [], []),
            ("own hospital, blocks of normals, on average", "", "own threshold", [], [], [specificity]),
        ]
    return rows


def rows_elsewhere(meta: dict[str, Any]) -> list[Row]:
    """The rows of other hospitals."""
    sources = _source(meta)["sources"]
    if "folds" in meta and "groups" not in meta["folds"]:
        return _of_trainings(meta["folds"])
    rows: list[Row] = []
    for name, source in sources.items():
        n = ", ".join(
            f"{images} {kind} ({patients} patients)"
            for kind in ("normal", "pneumonia")
            for images, patients in [source[kind]]
            if images
        )
        for point, measured in source["points"].items():
            recall, specificity = (measured.get(figure, []) for figure in ("recall", "specificity"))
            rows.append((name, n, point, source.get("roc_auc", []), recall, specificity))
    return rows


def _of_trainings(folds: dict[str, Any]) -> list[Row]:
    names = {
        "AUC": 0, "sensitivity at own threshold": 1, "pneumonias called so": 1, "specificity at own threshold": 2,
        "normals called normal": 2,
    }  # fmt: skip
    found: dict[str, dict[int, tuple[list[float], int]]] = {}
    for name, measured in folds.get("intervals", {}).items():
        group, figure = name.rsplit(", ", 1)
        value = [folds["figures"][name], *measured["interval"]] if measured["images"] >= groups.FEWEST else []
        found.setdefault(group, {})[names[figure]] = value, measured["images"]
    rows: list[Row] = []
    for group, columns in found.items():
        n = ", ".join(
            f"{columns[column][1]} {kind}" for column, kind in ((2, "normal"), (1, "pneumonia")) if column in columns
        )
        auc, recall, specificity = (columns.get(column, ([], 0))[0] for column in range(3))
        rows.append((group, n, "own threshold", auc, recall, specificity))
    return rows


def _others(sources: dict[str, Any]) -> str:
    points = list(next(iter(sources.values()))["points"])
    lines = [f"| images | n | {' | '.join(f'`{p}`' for p in points)} |", f"|---|---|{'---|' * len(points)}"]
    for name, source in sources.items():
        cells = " | ".join(_cell(source["points"][point]["called"]) for point in points)
        lines.append("| {} | {} ({} patients) | {} |".format(name, *source["other"], cells))
    return "\n".join(lines)


def _subgroups(sources: dict[str, Any]) -> str:
    lines = [
        "| images | group | normal | pneumonia | at | ROC AUC | sensitivity | specificity |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for source, fields in sources.items():
        for field, members in fields.items():
            for name, group in members.items():
                start = f"| {source} | {field}: {name} | {group['normal'][0]} | {group['pneumonia'][0]} |"
                auc = _or_too_few(group, "roc_auc", min(group["normal"][0], group["pneumonia"][0]))
                points = [point for point, measured in group["points"].items() if measured] or [""]
                for point in points:
                    measured = group["points"].get(point, {})
                    recall = _or_too_few(measured, "recall", group["pneumonia"][0])
                    specificity = _or_too_few(measured, "specificity", group["normal"][0])
                    lines.append(f"{start} {point} | {auc} | {recall} | {specificity} |")
    return "\n".join(lines)


def _or_too_few(figures: dict[str, Any], name: str, images: int) -> str:
    return _cell(figures[name]) if name in figures else "too few" if images else "–"


def _failures(kinds: dict[str, dict[str, int]]) -> str:
    lines = ["| failure | images | misread | lungs | between | outside |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {name} | {k['of']} | {k['misread']} | {k['lungs']} | {k['between']} | {k['outside']} |"
        for name, k in kinds.items()
    ]
    return "\n".join(lines)


def _cell(figure: list[float]) -> str:
    if not figure:
        return "–"
    return f"{figure[0]:.3f}" + (" ({:.3f}–{:.3f})".format(*figure[1:]) if len(figure) == 3 else "")
