"""Cleaned copies of files' bytes, for callers that load no DICOM library themselves: it is imported when one is made,
in the process of :mod:`deidentify.child`.
"""

import io
from pathlib import Path


def cleaned(
    content: bytes, key: bytes, *, dates: bool, characteristics: bool, device: bool, areas: Path | None
) -> tuple[str, bytes]:
    """A cleaned copy of a file, and its name: the SOP Instance UID that it has now.

    Args:
        content: the file.
        key: as for :func:`deidentify.cleaning.clean`.
        dates: the options, as :class:`deidentify.cleaning.Options` has them.
        characteristics: likewise.
        device: likewise.
        areas: the list of areas where text is blanked, a file for :func:`deidentify.areas.read_areas`.

    Raises:
        NotCleanedError: not everything could be removed.
    """
    from deidentify import files
    from deidentify.areas import read_areas
    from deidentify.cleaning import Options, clean

    dataset = files.read(io.BytesIO(content))
    clean(dataset, key, Options(dates, characteristics, device, read_areas(areas) if areas else ()))
    written = io.BytesIO()
    files.write(dataset, written)
    return str(dataset.SOPInstanceUID), written.getvalue()
