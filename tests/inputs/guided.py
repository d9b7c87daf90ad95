"""Search for pictures that reach new code: ``python -m tests.inputs.guided -runs=100000 -seed=1``.

Arguments are libFuzzer's. It stops at the first picture that is neither read nor refused, and prints the file's name.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ml.pictures"]):
    from tests.inputs import fuzz


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(fuzz.corpus()):
            (Path(folder) / str(number)).write_bytes(content)
        options = [
            *sys.argv,
            "-max_len=65536",
            "-timeout=20",
            "-rss_limit_mb=4096",
            f"-artifact_prefix={folder}-",
            folder,
        ]
        atheris.Setup(options, lambda data: fuzz.check(bytes(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
