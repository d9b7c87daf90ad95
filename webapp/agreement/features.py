"""The features that are watched in incoming images."""

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
    """Something that is measured on each image.

    Attributes:
        name: its name in the API and in bundles.
        title: its name on pages.
        unit: the unit of its values.
        edges: the boundaries between the bins of its histogram; the first and the last bin are open-ended.
    """

    name: str
    title: "StrPromise"
    unit: "StrPromise"
    edges: tuple[float, ...]

    @property
    def parts(self) -> int:
        return len(self.edges) + 1

    def place(self, value: float) -> int:
        """The index of the bin that holds a value. A value on an edge belongs to the bin above it."""
        return bisect_right(self.edges, value)

    def median(self, counts: Sequence[float]) -> float | None:
        """An estimate of the median, interpolated within its bin. In an open-ended bin it is that bin's only edge."""
        half = sum(counts) / 2
        if not half:
            return None
        below = 0.0
        for bin_index, count in enumerate(counts):
            if count and below + count >= half:
                if bin_index in (0, len(self.edges)):
                    return self.edges[0] if bin_index == 0 else self.edges[-1]
                low, high = self.edges[bin_index - 1], self.edges[bin_index]
                return low + (high - low) * (half - below) / count
            below += count
        return None


#: All edges except those of the age must equal those in ``ml.evaluation.inputs``, which describes a bundle's training
#: images. A test compares them.
FEATURES = (
    Feature("brightness", _("Exposure"), _("mean grey level, 0 to 255"), (40, 60, 80, 100, 120, 140, 160, 180, 200)),
    Feature("side", _("Size"), _("pixels, as the side of a square"), (256, 512, 768, 1024, 1536, 2048, 3072, 4096)),
    Feature("age", _("Age"), _("years"), (1, 2, 3, 4, 5, 6, 12, 18, 40, 65)),
    Feature("distance", _("Novelty"), _("distance from the training images; above 1 an image is flagged"),
            (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0)),
)  # fmt: skip
BY_NAME = {feature.name: feature for feature in FEATURES}
#: The answers for usable images. Their distribution is compared like that of a feature.
ANSWERS = (ResultGroup.POSITIVE, ResultGroup.UNCLEAR, ResultGroup.NEGATIVE)
