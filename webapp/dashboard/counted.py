"""The words for a number of images with the same result group.

The index that serves such a count has no warnings and no verdicts. So a count cannot tell why an image has no answer,
whether the model or a reader was unsure, or which answers are unreliable. Each word fits all images of its group.
"""

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from webapp.studies.choices import ResultGroup

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

LABELS: dict[str, "StrOrPromise"] = {
    ResultGroup.POSITIVE: ResultGroup.POSITIVE.label,
    ResultGroup.UNCLEAR: _("Unclear"),
    ResultGroup.NEGATIVE: ResultGroup.NEGATIVE.label,
    ResultGroup.UNUSABLE: _("No answer: not usable, or another age or view"),
}
#: Words that follow a number.
SHORT = {
    ResultGroup.POSITIVE: pgettext_lazy("images", "positive"),
    ResultGroup.UNCLEAR: pgettext_lazy("images", "unclear"),
    ResultGroup.NEGATIVE: pgettext_lazy("images", "negative"),
    ResultGroup.UNUSABLE: pgettext_lazy("images", "without an answer"),
}
#: The short word and the label of negative images if unreliable ones may be among them.
NEGATIVE_OR_UNRELIABLE = (
    pgettext_lazy("images", "negative, any age or view"),
    _("No signs of pneumonia found; other ages and views may be among them"),
)


def words(*, label_outside_training: bool) -> list[tuple[str, str, str, str]]:
    """For each group: its value, CSS class, short word and label.

    Args:
        label_outside_training: whether a department of the images wants labels for images outside the training data.
            If so, negative images are not shown in the colour that reassures.
    """
    found = []
    for group in ResultGroup:
        mixed = label_outside_training and group == ResultGroup.NEGATIVE
        short, label = NEGATIVE_OR_UNRELIABLE if mixed else (SHORT[group], LABELS[group])
        found.append((group.value, "" if mixed else group.value, str(short), str(label)))
    return found
