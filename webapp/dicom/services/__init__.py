"""What changes the rows of DICOM files."""
