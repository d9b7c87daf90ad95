"""What the DICOM libraries log."""

import logging
import warnings

import pydicom.config
import pynetdicom


def keep_quiet() -> None:
    """Keep the DICOM libraries from logging data that they read or write, since it describes patients."""
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"
    for name in ("highdicom", "pydicom", "pynetdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="highdicom|py(net)?dicom")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
