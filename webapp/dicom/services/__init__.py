"""Services that change the rows of DICOM files, and of what is sent to other systems."""
