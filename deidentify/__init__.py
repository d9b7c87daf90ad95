"""DICOM files without what identifies their patient, by the Basic Application Level Confidentiality Profile of PS3.15.

For the command ``python -m ml deidentify`` and for the service's export. It knows neither, and decodes no pixels.
"""

from deidentify.areas import Area, read_areas
from deidentify.cleaning import Options, clean
from deidentify.files import NotCleanedError, read, write

__all__ = ["Area", "NotCleanedError", "Options", "clean", "read", "read_areas", "write"]
