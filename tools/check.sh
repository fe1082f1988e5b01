#!/bin/sh
# Format, lint, strict types, import rules, drift of generated files. Runs all of them, then says which failed.
set -u
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
failed=""

try() {
    name=$1
    shift
    if "$@"; then echo "check: $name: good"; else failed="$failed $name"; fi
}

try format ruff format --check --quiet .
try lint ruff check --quiet .
try types mypy
try backend-types sh -c 'cd embedded/backends/onnxruntime && mypy --config-file ../../../pyproject.toml --explicit-package-bases *.py'
try imports lint-imports
try configs python -m modelcore.repository --check
try documents python -m orchestrator.documents --check

if [ -n "$failed" ]; then
    echo "check: failed:$failed" >&2
    exit 1
fi
