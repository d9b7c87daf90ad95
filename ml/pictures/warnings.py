"""Warnings that follow from a picture alone, before any model has read it. Needs no library."""

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
