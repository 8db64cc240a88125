#!/bin/sh
# Runs promotions.local with the first Python 3.11 or newer; PYTHON names another one.
for python in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        if [ "${1:-}" = setup ] && [ ! -e .venv/doorstep-stamp ]; then
            echo "Setting up Doorstep: some minutes, once." >&2
        fi
        exec "$python" -m promotions.local "$@"
    fi
done
echo "Doorstep needs Python 3.11 or newer and found none: install it (Debian, Ubuntu: apt-get install python3)" \
    "or name it, as in 'make test PYTHON=/opt/python3.12/bin/python3'." >&2
exit 1
