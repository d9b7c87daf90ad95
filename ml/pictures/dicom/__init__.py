"""DICOM files: decode their pixels to the greys that a viewer shows, and extract the attributes that are stored."""

from ml.pictures.dicom.attributes import attributes_of
from ml.pictures.dicom.files import is_dicom, parse
from ml.pictures.dicom.reader import read

__all__ = ["attributes_of", "is_dicom", "parse", "read"]
