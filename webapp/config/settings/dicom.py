"""The listener to which scanners and PACS send images by DICOM (worker/dicom)."""

from webapp.config.settings.base import env

#: Its TCP port; without one it does not run.
DICOM_PORT = env.int("DICOM_PORT", default=0)
#: The address that it listens on.
DICOM_HOST = env("DICOM_HOST", default="127.0.0.1")
#: The name that senders call it by.
DICOM_AE_TITLE = env("DICOM_AE_TITLE", default="PNEUMOQUEUE")
#: Processes that take what is sent, each on one processor at most. With SQLite they take turns in writing.
DICOM_PROCESSES = max(1, env.int("DICOM_PROCESSES", default=2))
#: Senders that may be connected at once, to all processes together. Each image is in memory until it is stored.
DICOM_ASSOCIATIONS = env.int("DICOM_ASSOCIATIONS", default=16)
#: Seconds without a word after which a sender is disconnected, and those in which it has to say who it is.
DICOM_SILENT_SECONDS = env.int("DICOM_SILENT_SECONDS", default=60)
DICOM_GREETING_SECONDS = env.int("DICOM_GREETING_SECONDS", default=10)
#: Seconds after its last image in which a study gets no other one, and is closed.
DICOM_QUIET_SECONDS = env.int("DICOM_QUIET_SECONDS", default=60)
#: PEM files. With a certificate and its key everything is encrypted; with the authorities of clients' certificates a
#: sender needs one of theirs.
DICOM_TLS_CERTIFICATE = env("DICOM_TLS_CERTIFICATE", default="")
DICOM_TLS_KEY = env("DICOM_TLS_KEY", default="")
DICOM_TLS_CLIENTS = env("DICOM_TLS_CLIENTS", default="")
