"""The DICOM listener. Scanners and PACS send images to it (C-STORE) and test whether it is reachable (C-ECHO)."""
