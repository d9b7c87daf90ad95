"""``python -m pneumoqueue``."""

import sys

from pneumoqueue.cli import main

sys.exit(main())
