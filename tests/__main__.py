"""Run pytest in less time: `python -m tests` takes what `python -m pytest` takes.

CPython keeps the frames of calls in pieces of 16 KB. Where a loop calls across the end of a piece, each call asks the
system for memory and gives it back, and pytest and Django call so deep that this takes a sixth of the tests' time. A
frame that needs more than half a megabyte gets a piece of a whole one, in which all further calls have room.
"""

import sys

import pytest


def main() -> int:
    return pytest.main()


main.__code__ = main.__code__.replace(co_stacksize=70_000)  # times eight bytes

if __name__ == "__main__":
    sys.exit(main())
