"""Prepare the database and the static files: `python -m compose.local.prepare`.

All in one process, since each command would load Django again. Exit status 2 where the settings name no model; the last
line of the errors then says why.
"""

import os
import sys

import django


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    django.setup()
    from django.core.management import call_command

    from ml.errors import BundleError
    from worker.bundle import current

    try:
        bundle = current()
    except BundleError as error:
        print(f"MODEL_BUNDLE and OPERATING_POINT name no model: {error}.", file=sys.stderr)
        return 2
    print(f"model {bundle.id}, operating point {bundle.operating_point}")
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("ensure_admin")
    # Workers of a run that was killed would count as ready until their last report is too old.
    call_command("forget_workers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
