"""Run pytest faster: `python -m tests` takes the same arguments as `python -m pytest`.

CPython allocates the stack of its frames in chunks of 16 KB. When a loop calls a function across the end of a chunk,
each call allocates and frees a chunk. pytest and Django nest calls so deeply that this takes a sixth of the tests'
time. A frame that needs more than half a megabyte gets a chunk of a whole megabyte, which has room for all further
calls.
"""

import sys

import pytest


def main() -> int:
    return pytest.main()


main.__code__ = main.__code__.replace(co_stacksize=70_000)  # in units of eight bytes

if __name__ == "__main__":
    sys.exit(main())
