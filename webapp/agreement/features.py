"""What is watched of the images that come in."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from webapp.studies.choices import ResultGroup

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


@dataclass(frozen=True)
class Feature:
    """Something that is measured of each image.

    Attributes:
        name: as the API and the bundles have it.
        title: for people.
        unit: what its numbers are.
        edges: where the parts of its range begin and end; the first and the last part are open.
    """

    name: str
    title: "StrPromise"
    unit: "StrPromise"
    edges: tuple[float, ...]

    @property
    def parts(self) -> int:
        return len(self.edges) + 1

    def place(self, value: float) -> int:
        """The part that a value lies in; one on an edge belongs to the part above it."""
        return bisect_right(self.edges, value)

    def median(self, counts: Sequence[float]) -> float | None:
        """About the median, between the edges of the part that has it; an open part has its edge only."""
        half = sum(counts) / 2
        if not half:
            return None
        below = 0.0
        for place, count in enumerate(counts):
            if count and below + count >= half:
                if place in (0, len(self.edges)):
                    return self.edges[0] if place == 0 else self.edges[-1]
                low, high = self.edges[place - 1], self.edges[place]
                return low + (high - low) * (half - below) / count
            below += count
        return None


#: The edges of all but the age are those of ``ml.evaluation.inputs``, which says of a bundle what it learnt from; a
#: test compares them.
FEATURES = (
    Feature("brightness", _("Exposure"), _("mean grey level, 0 to 255"), (40, 60, 80, 100, 120, 140, 160, 180, 200)),
    Feature("side", _("Size"), _("pixels, as the side of a square"), (256, 512, 768, 1024, 1536, 2048, 3072, 4096)),
    Feature("age", _("Age"), _("years"), (1, 2, 3, 4, 5, 6, 12, 18, 40, 65)),
    Feature("distance", _("Novelty"), _("distance from the training images; above 1 an image is flagged"),
            (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0)),
)  # fmt: skip
BY_NAME = {feature.name: feature for feature in FEATURES}
#: The answers of usable images, which are compared like a feature.
ANSWERS = (ResultGroup.POSITIVE, ResultGroup.UNCLEAR, ResultGroup.NEGATIVE)
