"""Warnings that follow from a picture or its details, before a model reads it. This module needs no library."""

#: Ages in years, from the first to below the second, of the children in the training data.
LEARNT_AGES = (1, 6)
#: Names of lateral views, in DICOM and in common use.
LATERAL = ("LL", "RL", "LATERAL")

BORDERS_REMOVED = {
    "code": "borders_removed",
    "detail": "The picture has a border, such as black strips, a film's edge or a screenshot's frame. It was cut off, "
    'and only what lies inside was read. Please check under "What the model saw" that nothing of the X-ray is missing.',
}
PHOTOGRAPH_OF_FILM = {
    "code": "photograph_of_film",
    "detail": "This looks like a photograph of a film or of a screen. Glare, moiré and perspective change what the "
    "model sees, so no label is given. Please export the X-ray as a picture file (PNG, JPEG), or scan the film.",
}


#: Codes of the warnings that suppress the label, as in the service unless a department chooses otherwise.
NO_LABEL = frozenset({
    "not_chest_xray", "photograph_of_film", "not_frontal_chest", "age_outside_training", "view_not_frontal",
})  # fmt: skip


def not_frontal_chest(clause: str) -> dict[str, str]:
    """Warn that a DICOM file names another body part or view.

    Args:
        clause: the body part or view, as the end of the sentence "The file says that ...".
    """
    detail = f"The file says that {clause}. No label is given; please check what was sent."
    return {"code": "not_frontal_chest", "detail": detail}


def outside_training(age: float | None, view: str) -> list[dict[str, str]]:
    """Warn that the training data had no patients of this age, or no such views.

    Args:
        age: the patient's age in years; None if unknown.
        view: such as ``PA``; empty if unknown.
    """
    warnings = []
    if age is not None and not LEARNT_AGES[0] <= age < LEARNT_AGES[1]:
        warnings.append({
            "code": "age_outside_training",
            "detail": f"The patient was {_in_words(age)} old; the model learnt mostly from children aged one to five. "
            "Do not rely on the probability.",
        })  # fmt: skip
    if view.upper() in LATERAL:
        warnings.append({
            "code": "view_not_frontal",
            "detail": "This is a lateral view; the model learnt from frontal views only. Do not rely on the "
            "probability.",
        })  # fmt: skip
    return warnings


def _in_words(age: float) -> str:
    if age >= 2:
        return f"{int(age)} years"
    months = int(age * 12)
    return f"{months} month{'s' * (months != 1)}"
