"""Run a program that ends when the process that started it does: `tied.py COMMAND…`.

supervisord ends its programs when it is stopped, but not when it is killed. Then they would live on, and hold the
ports and Redis' file that the next start needs. The kernel sends SIGTERM in that case; where it cannot (not on Linux),
the program just runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if sys.platform == "linux":
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the call above
        sys.exit(1)
os.execvp(sys.argv[1], sys.argv[1:])
