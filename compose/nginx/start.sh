#!/bin/sh
# Writes nginx' configuration for this environment into /tmp and starts it. Neither root nor a writable file system is
# needed. With /etc/nginx/tls/tls.crt and tls.key the pages are served over TLS.
set -eu

here=$(dirname "$0")
made=/tmp/nginx
mkdir -p "$made"

# As webapp.studies allows beyond the files themselves, and base64 takes four bytes for three.
IMAGE_BODY=$((MAX_IMAGE_BYTES * 4 / 3 + 1048576))
STUDY_BODY=$((MAX_STUDY_BYTES + 1048576))
HTTPS_SUFFIX=
if [ -e /etc/nginx/tls/tls.crt ]; then
  SERVER=tls.conf
  [ "${HTTPS_PORT:-443}" = 443 ] || HTTPS_SUFFIX=:$HTTPS_PORT
else
  SERVER=plain.conf
fi
export IMAGE_BODY STUDY_BODY SERVER HTTPS_SUFFIX

# Only these: everything else with a dollar is nginx' own.
for name in nginx.conf plain.conf tls.conf locations.conf proxied.conf; do
  envsubst '${IMAGE_BODY} ${STUDY_BODY} ${SERVER} ${HTTPS_SUFFIX} ${RESOLVER} ${TRUSTED_PROXY}' \
    <"$here/$name" >"$made/$name"
done

exec nginx -c "$made/nginx.conf" -g "daemon off;"
