"""The listener: scanners and PACS send images to it by DICOM (C-STORE), and ask whether it is there (C-ECHO)."""
