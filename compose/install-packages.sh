#!/bin/sh
# Makes /opt/venv of lists of packages: install-packages.sh NAME…, of NAME.in beside this file. OBSERVABILITY adds what
# Sentry and OpenTelemetry need. Every package is checked against the hashes in lock.txt.
#
# The images have neither pip nor uv: the builder's install into an environment without them. All is compiled here, once
# for good.
set -eu
cd "$(dirname "$0")"
python3 -m venv --without-pip /opt/venv
python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --target /tmp/uv --require-hashes \
  -r bootstrap.txt
# --system-certs: as pip does, uv trusts the certificates that the base image trusts.
/tmp/uv/bin/uv pip install --quiet --no-cache --system-certs --python /opt/venv/bin/python --compile-bytecode \
  -c lock.txt $(printf -- '-r %s.in ' "$@") ${OBSERVABILITY:+-r observability.in}
# MNN's converters: 33 MB that nothing here uses, and which report their use to their maker.
cd /opt/venv/lib/python3*/site-packages
rm -rf MNN/tools _tools.*.so
# OpenVINO's readers of other formats and its other devices: 75 MB. It does without the package that reports its use.
rm -rf openvino/libs/libopenvino_*_frontend.so.* openvino/libs/libopenvino_intel_[gn]pu_plugin.so openvino_telemetry*
