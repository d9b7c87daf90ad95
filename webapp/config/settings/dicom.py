"""Settings of the listener to which scanners and PACS send images by DICOM (worker/dicom)."""

from webapp.config.settings.base import env

#: The listener's TCP port. With 0 it does not run.
DICOM_PORT = env.int("DICOM_PORT", default=0)
#: The address that it listens on.
DICOM_HOST = env("DICOM_HOST", default="127.0.0.1")
#: The AE title by which senders call it.
DICOM_AE_TITLE = env("DICOM_AE_TITLE", default="PNEUMOQUEUE")
#: Number of processes that receive images. Each uses at most one processor. With SQLite, they take turns to write.
DICOM_PROCESSES = max(1, env.int("DICOM_PROCESSES", default=2))
#: Largest number of concurrent associations of all processes together. Each image is in memory until it is stored.
DICOM_ASSOCIATIONS = env.int("DICOM_ASSOCIATIONS", default=16)
#: Seconds of silence after which a sender is disconnected, and seconds within which it has to request an association.
DICOM_SILENT_SECONDS = env.int("DICOM_SILENT_SECONDS", default=60)
DICOM_GREETING_SECONDS = env.int("DICOM_GREETING_SECONDS", default=10)
#: A study is closed if it gets no image for this many seconds.
DICOM_QUIET_SECONDS = env.int("DICOM_QUIET_SECONDS", default=60)
#: PEM files. With a certificate and its key, connections are encrypted. With a file of certificate authorities, each
#: sender needs a certificate issued by one of them.
DICOM_TLS_CERTIFICATE = env("DICOM_TLS_CERTIFICATE", default="")
DICOM_TLS_KEY = env("DICOM_TLS_KEY", default="")
DICOM_TLS_CLIENTS = env("DICOM_TLS_CLIENTS", default="")
