"""Results as DICOM objects, and their way to the destinations of a department."""
