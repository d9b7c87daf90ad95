"""Prepare the database and the static files: `python -m compose.local.prepare`.

Everything runs in one process, since each separate command would load Django again. The exit status is 2 if the doctor
finds that the service cannot work; the last line on standard error then says why, and what to do.
"""

import os
import sys

import django


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    django.setup()
    from django.core.management import call_command

    from webapp.ops import doctor

    findings = doctor.before_start()
    if bad := [finding for finding in findings if not finding.ok]:
        print(" ".join(f"{finding.message} {finding.todo}" for finding in bad), file=sys.stderr)
        return 2
    print(next(finding.message for finding in findings if finding.name == "model"))
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("ensure_admin")
    # Workers of a killed run would count as ready until their last report is too old.
    call_command("forget_workers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
