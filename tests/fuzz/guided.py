"""Search for ZIPs that reach new code: ``python -m tests.fuzz.guided -runs=100000 -seed=1``.

Arguments are libFuzzer's. At the first ZIP that is neither read nor refused, it prints the file's
name and exits with 77.
"""

import os
import sys
import tempfile
from pathlib import Path

import atheris
import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
with atheris.instrument_imports(include=["webapp.studies.files"]):
    django.setup()
    from tests.fuzz import zip_cases

CORPUS = 200


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(CORPUS):
            (Path(folder) / str(number)).write_bytes(zip_cases.case(number))
        arguments = [*sys.argv, "-max_len=8192", "-timeout=20", f"-artifact_prefix={folder}-", folder]
        atheris.Setup(arguments, lambda data: zip_cases.check(bytes(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
