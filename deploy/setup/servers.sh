#!/bin/sh
# Servers for tests and the demo: Mosquitto from the system's packages where they may be installed,
# and, with MINIO=1, MinIO built from source where Go is. Says what it could not get.
set -eu

has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

if ! has mosquitto; then
    if [ "$(id -u)" = 0 ] && has apt-get; then
        echo "installing Mosquitto …" >&2
        export DEBIAN_FRONTEND=noninteractive
        # policy-rc.d: the service must not start by itself
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.gleaner
        chmod +x /usr/sbin/policy-rc.d.gleaner
        [ -e /usr/sbin/policy-rc.d ] || { cp /usr/sbin/policy-rc.d.gleaner /usr/sbin/policy-rc.d; ours=1; }
        (apt-get update -qq && apt-get install -y -qq --no-install-recommends mosquitto) >/dev/null 2>&1 || true
        [ "${ours:-}" = 1 ] && rm -f /usr/sbin/policy-rc.d
        rm -f /usr/sbin/policy-rc.d.gleaner
    fi
fi
if ! has mosquitto; then
    echo "no Mosquitto: the demo uses the embedded broker, tests that need Mosquitto are skipped by name." >&2
    echo "  to have it: sudo apt-get install mosquitto (or your system's way)" >&2
fi

if [ "${MINIO:-}" = 1 ] && ! has minio && [ ! -x .tools/minio ]; then
    if ! has go; then
        echo "no Go: MinIO can't be built here; tests that need it are skipped by name." >&2
    else
        echo "building MinIO from source (some minutes) …" >&2
        GOBIN="$(pwd)/.tools" go install github.com/minio/minio@latest ||
            echo "MinIO could not be built; tests that need it are skipped by name." >&2
    fi
fi
