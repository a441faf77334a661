#!/usr/bin/env bash
# Lines run by the tests: the backend's suite and the Blender suite of one environment, put together.
# Usage: tools/measure_coverage.sh .venv-bpy-4.5     (Blender's Python imports coverage from .venv)
set -euo pipefail
cd "$(dirname "$0")/.."
blender=$1
rm -f .coverage .coverage.*
failed=0

.venv/bin/python -m coverage run -m pytest tests --ignore tests/blender || failed=1

borrowed=$(mktemp -d)
trap 'rm -rf "$borrowed"' EXIT
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
ln -s "$site/coverage" "$borrowed/coverage"
PYTHONPATH=$borrowed "$blender/bin/python" -m coverage run -m pytest tests/blender || failed=1

.venv/bin/python -m coverage combine --quiet
.venv/bin/python -m coverage report
exit "$failed"
