"""The tests' database, where it is SQLite.

In memory, which is what tests get otherwise, it locks whole tables between threads; a file does not, and is what the
service runs on. It has to be decided before the first test asks for the database.
"""

import atexit
import shutil
import tempfile
from pathlib import Path

from django.db import connections


def on_disk() -> None:
    """Have the tests use a file."""
    test = connections["default"].settings_dict["TEST"]
    if connections["default"].vendor == "sqlite" and not test["NAME"]:
        folder = Path(tempfile.mkdtemp(prefix="pneumoqueue-tests-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        test["NAME"] = str(folder / "db.sqlite3")
