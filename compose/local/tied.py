"""Run a program that ends when the process that started it does: `tied.py COMMAND…`.

supervisord ends its programs when it is stopped, but not when it is killed. Then they would keep running, and hold the
ports and Redis' file that the next start needs. On Linux the kernel sends SIGTERM in that case; on other systems the
program just runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if sys.platform == "linux":
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent died before the call above
        sys.exit(1)
os.execvp(sys.argv[1], sys.argv[1:])
