"""Results as FHIR, for systems that read no DICOM."""
