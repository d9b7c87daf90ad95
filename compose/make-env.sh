#!/bin/sh
# Writes a .env with random secrets from .env.example: `make env`, or `sh compose/make-env.sh` without make. One that is
# there already stays as it is.
set -eu
cd "$(dirname "$0")/.."

if [ -e .env ]; then
  echo ".env is there already; it stays as it is." >&2
  exit 1
fi

secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
made=$(mktemp .env.XXXXXX)
trap 'rm -f "$made"' EXIT
while IFS= read -r line; do
  case $line in
    SECRET_KEY= | *_PASSWORD= | S3_*KEY*=) line=$line$(secret) ;;
  esac
  printf '%s\n' "$line"
done <.env.example >"$made"
mv "$made" .env
trap - EXIT
echo "made .env; the password of the user admin is ADMIN_PASSWORD in it."
