"""``python -m worker.dicom``: listen for DICOM at DICOM_PORT."""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.workers")
os.environ.setdefault("PNEUMOQUEUE_ROLE", "dicom")

from worker.process import exposition

exposition.prepare()
django.setup()

from worker.dicom import processes  # noqa: E402  (the models behind it need setup first)

if __name__ == "__main__":
    sys.exit(processes.run())
