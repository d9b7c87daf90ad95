"""Where a bundle reads wrongly: how often in each group of images, and a drawing of where its evidence lay.

The drawing shows averages over all misread images of a group on a sketch of a chest. No patient's picture is in it.
"""

from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from ml.inference import evidence

#: Groups with fewer misread images are counted, not drawn: their average would be almost one patient's map.
FEWEST = 5
MISSED, ALARM, OTHER = "pneumonia missed", "normal called pneumonia", "other finding called pneumonia"
#: The parts of the strongest average from which a place gets one more layer of colour.
LEVELS = (0.2, 0.4, 0.6, 0.8)
#: The width of a panel, the height of its picture and of its text, in pixels; a picture has a margin of 10.
WIDTH, PICTURE, TEXT, COLUMNS = 300, 210, 62, 3
CELL = 14
#: A sketch of a body, in the 196x196 pixels of the 14x14 cells.
BODY = (
    "M80 0C80 18 66 26 44 32C18 40 6 58 4 92V196M116 0C116 18 130 26 152 32C178 40 190 58 192 92V196"
    "M30 66C36 110 38 150 38 196M166 66C160 110 158 150 158 196"
)


@dataclass(frozen=True)
class Read:
    """A bundle's answers for images.

    Attributes:
        truth: ``(n,)`` of 0 and 1; -1 if there is no reliable label.
        probability: ``(n,)`` of pneumonia.
        patient: ``(n,)`` identifiers.
        maps: ``(n, 14, 14)`` from :func:`ml.inference.heatmaps.to_bytes`.
        lungs: ``(n, 14, 14)`` from :func:`ml.inference.lungs.masks`.
    """

    truth: NDArray[np.int64]
    probability: NDArray[np.float64]
    patient: NDArray[np.str_]
    maps: NDArray[np.uint8]
    lungs: NDArray[np.float32]


@dataclass(frozen=True)
class Failures:
    """The misread images of one kind.

    Attributes:
        read: the answers that they are among.
        chosen: ``(n,)`` which of them are misread.
        counts: see :func:`counts`.
    """

    read: Read
    chosen: NDArray[np.bool_]
    counts: dict[str, int]


def kinds(
    read: Read, groups: dict[str, NDArray[np.bool_]], threshold: float, other: NDArray[np.bool_] | None = None
) -> dict[str, Failures]:
    """The misread images of each group and class. The names say the group and the kind of failure.

    Args:
        read: the answers.
        groups: the members of each group, ``(n,)``.
        threshold: from which an image is called pneumonia.
        other: ``(n,)`` in which images experts found something else than pneumonia.
    """
    positive = read.probability >= threshold
    classes = [(MISSED, read.truth == 1, ~positive), (ALARM, read.truth == 0, positive)]
    if other is not None:
        classes.append((OTHER, other, positive))
    found: dict[str, Failures] = {}
    seen: set[bytes] = set()  # radiologists read all pneumonias of a source, so two groups may be the same
    for name, members in groups.items():
        for kind, of, wrong in classes:
            asked = members & of
            if asked.any() and asked.tobytes() not in seen:
                seen.add(asked.tobytes())
                chosen = asked & wrong
                found[f"{name}: {kind}"] = Failures(read, chosen, counts(read, chosen, int(asked.sum())))
    return found


def counts(read: Read, chosen: NDArray[np.bool_], of: int) -> dict[str, int]:
    """How many of ``of`` images are misread, and where the strongest place of their maps lies.

    ``between`` is the heart and what else is between the lungs; ``unknown`` are images without evidence or lungs.
    """
    maps, lungs = read.maps[chosen], read.lungs[chosen]
    on = evidence.peak_inside(maps, evidence.near(lungs) >= 0.5)
    inside = evidence.peak_inside(maps, evidence.lungs_and_between(lungs))
    known = ~np.isnan(evidence.share_inside(maps, lungs))
    return {
        "of": of, "misread": int(chosen.sum()), "lungs": int((known & on).sum()),
        "between": int((known & inside & ~on).sum()), "outside": int((known & ~inside).sum()),
        "unknown": int((~known).sum()),
    }  # fmt: skip


def drawing(found: dict[str, Failures]) -> str:
    """An SVG with a panel for each kind of failure that has at least :data:`FEWEST` images."""
    shown = {name: failures for name, failures in found.items() if failures.counts["misread"] >= FEWEST}
    height = -(-len(shown) // COLUMNS) * (PICTURE + TEXT)
    body = [
        f'<g transform="translate({index % COLUMNS * WIDTH} {index // COLUMNS * (PICTURE + TEXT)})">{_panel(*item)}</g>'
        for index, item in enumerate(shown.items())
    ]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {COLUMNS * WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">',
        "<title>Drawings, not X-rays: where the evidence lay in misread images, on average</title>",
        f'<rect width="{COLUMNS * WIDTH}" height="{height}" fill="#fff"/>', *body, "</svg>\n",
    ])  # fmt: skip


def _panel(name: str, failures: Failures) -> str:
    group, kind = name.rsplit(": ", 1)
    heat = failures.read.maps[failures.chosen].astype(np.float64).mean(axis=0)
    heat /= max(heat.max(), 1.0)
    lungs = failures.read.lungs[failures.chosen].mean(axis=0) >= 0.5
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    layers = "".join(f'<path d="{_cells(heat >= level)}"/>' for level in LEVELS)
    return (
        f'<g transform="translate({(WIDTH - 14 * CELL) // 2} 8)"><path d="{_cells(lungs)}" fill="#cfd8dc"/>'
        f'<g fill="#ff6010" fill-opacity=".22">{layers}</g>'
        f'<path d="{BODY}" fill="none" stroke="#37474f" stroke-width="2"/>'
        f'<circle cx="{column * CELL + CELL // 2}" cy="{row * CELL + CELL // 2}" r="6" fill="none" stroke="#000" '
        'stroke-width="2"/></g>'
        f'<g text-anchor="middle"><text x="{WIDTH // 2}" y="{PICTURE + 14}">{escape(group)}</text>'
        f'<text x="{WIDTH // 2}" y="{PICTURE + 32}">{escape(kind)}: '
        f"{failures.counts['misread']} of {failures.counts['of']}</text></g>"
    )


def _cells(chosen: NDArray[np.bool_]) -> str:
    """The outline of cells as an SVG path, one rectangle for each run in a row."""
    parts = []
    for row, cells in enumerate(chosen):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], cells.astype(np.int8), [0]])))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            width = (end - start) * CELL
            parts.append(f"M{start * CELL} {row * CELL}h{width}v{CELL}h-{width}z")
    return "".join(parts)
