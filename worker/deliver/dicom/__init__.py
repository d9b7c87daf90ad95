"""Make DICOM objects of results, and send them to the destinations of a department."""
