#!/bin/sh
# Finds a fit Python and hands over to tools/setup.py. Usage: tools/setup.sh run|test
# Fit: 3.11 or 3.12, able to make a virtual environment, with a shared libpython (Triton's stubs link to it).
set -eu
cd "$(dirname "$0")/.."

fit() {
    [ "$("$1" - 2>/dev/null <<'PROBE'
import ensurepip, pathlib, sys, sysconfig, venv
assert (3, 11) <= sys.version_info[:2] <= (3, 12)
library = sysconfig.get_config_var("INSTSONAME") or ""
folder = pathlib.Path(sysconfig.get_config_var("LIBDIR") or "/nowhere")
multiarch = sysconfig.get_config_var("MULTIARCH") or ""
assert ".so" in library and any((place / library).exists() for place in (folder, folder / multiarch))
print("fit")
PROBE
    )" = fit ]
}

if [ -n "${PYTHON:-}" ]; then
    fit "$PYTHON" && exec "$PYTHON" tools/setup.py "$@"
    echo "setup: PYTHON=$PYTHON does not fit: Triptych needs 3.11 or 3.12 with venv and a shared libpython" >&2
    exit 1
fi
# The environment remembers its Python; a newly installed one must not replace it by surprise.
for candidate in .venv/bin/python python3.11 python3.12 python3 python; do
    if command -v "$candidate" >/dev/null 2>&1 && fit "$candidate"; then
        exec "$candidate" tools/setup.py "$@"
    fi
done

cat >&2 <<'MESSAGE'
setup: no fit Python found: Triptych needs 3.11 or 3.12 with venv and a shared libpython.
       Debian 12:     apt-get install python3.11 python3.11-venv libpython3.11
       Ubuntu 24.04:  apt-get install python3.12 python3.12-venv libpython3.12
       pyenv:         PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.11
       Another place: make run PYTHON=/path/to/python3.11
MESSAGE
exit 1
