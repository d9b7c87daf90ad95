"""Limits on requests, senders and images."""

from webapp.config.settings.base import env

MAX_IMAGE_BYTES = env.int("MAX_IMAGE_BYTES", default=50 * 2**20)
#: Largest size of a request for a study, and of all its files with ZIPs unpacked.
MAX_STUDY_BYTES = env.int("MAX_STUDY_BYTES", default=2 * 2**30)
MAX_STUDY_FILES = env.int("MAX_STUDY_FILES", default=10_000)
#: Bytes that a guest's address, or a user, may upload in a day, with ZIPs unpacked. Administrators have no limit.
GUEST_DAILY_BYTES = env.int("GUEST_DAILY_BYTES", default=2 * 2**30)
USER_DAILY_BYTES = env.int("USER_DAILY_BYTES", default=50 * 2**30)
DATA_UPLOAD_MAX_NUMBER_FILES = MAX_STUDY_FILES
#: Bytes of a resumable upload that are synced to disk at a time: the most an interruption can lose.
PART_BYTES = 16 * 2**20
#: Limited because /predict has an image, its base64 and its JSON in memory while it decodes them.
MAX_PREDICT_BYTES = min(env.int("MAX_PREDICT_BYTES", default=20 * 2**20), MAX_IMAGE_BYTES)
#: Largest size of a request's body by the pattern of its path. It includes room for base64 (four bytes for three) and
#: for the boundaries around a file.
BODY_LIMITS = {
    "/api/v1/images/?": MAX_IMAGE_BYTES + 2**20,
    "/api/v1/studies(/[^/]+/images)?/?": MAX_STUDY_BYTES + 2**20,
    # A longer body is passed on in parts of this size, see webapp/http/long_uploads.py.
    "/api/v1/uploads(/[^/]+)?/?": PART_BYTES,
    "/dicomweb/studies(/[^/]+)?/?": MAX_STUDY_BYTES + 2**20,
    "/upload/?": MAX_STUDY_BYTES + 2**20,
    "/departments/[^/]+/rules/?": MAX_IMAGE_BYTES + 2**20,  # a file can be sent to test rules
    "/predict/?": MAX_PREDICT_BYTES * 4 // 3 + 2**20,
}
#: Classes that receive bodies instead of a temporary file, by the pattern of the path. They get the content type.
BODY_RECEIVERS = {"/dicomweb/studies(/[^/]+)?/?": "webapp.dicom.web.incoming.Incoming"}
BODY_LIMIT = DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
#: Memory for preparing one image in each ingest process, in addition to the process itself; 0 for no limit. The
#: default suits the decoder's own limit, and two processes in a container with 1 GB.
PREPARE_MEMORY_BYTES = env.int("PREPARE_MEMORY_BYTES", default=384 * 2**20)
MAX_WAIT_SECONDS = 60
#: Threads, and therefore database connections, of each web process. One more thread serves all waiting requests.
WEB_THREADS = env.int("WEB_THREADS", default=3)
PREDICT_TIMEOUT_SECONDS = env.int("PREDICT_TIMEOUT_SECONDS", default=60)
MAX_ATTEMPTS = 3
