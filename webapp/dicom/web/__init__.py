"""DICOMweb (PS3.18): STOW-RS stores, QIDO-RS searches, WADO-RS retrieves."""
