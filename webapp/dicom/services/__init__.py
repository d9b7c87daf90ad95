"""What changes the rows of DICOM files, and of what is sent."""
