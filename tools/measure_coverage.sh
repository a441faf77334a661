#!/usr/bin/env bash
# Lines run by the tests: the backend's suite and the Blender suite of one environment, put together.
# Usage: tools/measure_coverage.sh .venv-bpy-4.5     (coverage itself is lent to Blender's Python from .venv)
set -euo pipefail
cd "$(dirname "$0")/.."
blender=$1
rm -f .coverage .coverage.*
failed=0

.venv/bin/python -m coverage run -m pytest tests --ignore tests/blender || failed=1

lent=$(mktemp -d)
trap 'rm -rf "$lent"' EXIT
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
ln -s "$site/coverage" "$lent/coverage"
PYTHONPATH=$lent "$blender/bin/python" -m coverage run -m pytest tests/blender || failed=1

.venv/bin/python -m coverage combine --quiet
.venv/bin/python -m coverage report
exit "$failed"
