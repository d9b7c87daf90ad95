"""DICOM files without what identifies their patient, by the Basic Application Level Confidentiality Profile of PS3.15.

For the command ``python -m ml deidentify`` and for the service's export. It knows neither, and decodes no pixels.
"""
