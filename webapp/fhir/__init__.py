"""Results as FHIR, for systems that cannot read DICOM."""
