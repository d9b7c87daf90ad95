#!/bin/sh
# Makes /opt/venv of a list with hashes: install-packages.sh FILE. OBSERVABILITY adds what Sentry and OpenTelemetry need.
#
# The images have no pip: the builder's installs into an environment without one. All is compiled here, once for good.
set -eu
python3 -m venv --without-pip /opt/venv
python3 -m pip --disable-pip-version-check --no-cache-dir --python /opt/venv/bin/python \
  install --quiet --require-hashes --no-compile -r "$1" ${OBSERVABILITY:+-r /tmp/observability.txt}
/opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib
