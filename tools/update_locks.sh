#!/usr/bin/env bash
# Write requirements/*.txt again from pyproject.toml: exact versions with hashes, for Python 3.11 and 3.12.
#
# Versions that are locked already are kept unless they are named:  tools/update_locks.sh [PACKAGE ...]
# Needs `uv` on the path (any way of installing it will do). torch is left out of every lock but torch-cpu.txt: the
# registry's Linux build brings several GB of CUDA libraries that nothing but training on a GPU needs.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed 's/^requires-python = .*/requires-python = ">=3.11,<3.13"/' pyproject.toml >"$work/pyproject.toml"
printf '[tool.uv]\nenvironments = ["python_version < '"'3.13'"'"]\n' >>"$work/pyproject.toml"
echo 'torch ; python_version < "3"' >"$work/no-torch.txt"
# OpenCV 4.12 asks for numpy 2, whose binary interface numpy 1.26 has too: the locks keep the numpy of Blender 4.2 to 5.0,
# and a solve with either is the same (docs/decisions/index.md).
echo 'numpy==1.26.4' >>"$work/no-torch.txt"
upgrade=()
for package in "$@"; do upgrade+=(--upgrade-package "$package"); done

# lock NAME ARGUMENTS...: one lock file, without the marker that only says which Pythons were asked for
lock() {
    local name=$1
    shift
    [ -f "requirements/$name.txt" ] && cp "requirements/$name.txt" "$work/$name.txt"
    (cd "$work" && uv pip compile -q --universal --generate-hashes --python-version "${python:-3.11}" --no-emit-index-url \
        --no-annotate --no-header "${upgrade[@]}" "$@" -o "$name.txt")
    {
        echo "# Written by tools/update_locks.sh; install with: pip install --require-hashes --no-deps -r requirements/$name.txt"
        sed -e "s/python_full_version < '3.13' and //; s/ ; python_full_version < '3.13' / /" "$work/$name.txt"
    } >"$work/$name.new"
    mv "$work/$name.new" "requirements/$name.txt"
}

lock core pyproject.toml --override no-torch.txt
# The same for Python 3.13, which Blender 5.1 and later bring: it makes the backend's environment in Set Up Backend.
# Versions are those of core.txt, save for numpy, of which 1.26 has no wheel for 3.13.
cp "$work/pyproject.toml" "$work/pyproject.aside"
sed -i -e '/^requires-python/s/.*/requires-python = ">=3.13,<3.14"/' -e '/^environments/d' "$work/pyproject.toml"
[ -f requirements/core-py313.txt ] || sed '/^numpy==/,/[^\\]$/d' requirements/core.txt >requirements/core-py313.txt
echo 'numpy>=2.2' >"$work/numpy2.txt"
python=3.13 lock core-py313 pyproject.toml --override no-torch.txt -c numpy2.txt
mv "$work/pyproject.aside" "$work/pyproject.toml"
sed -n 's/^\([A-Za-z0-9_.-]*==.*\) \\$/\1/p' requirements/core.txt >"$work/constraints.txt"
lock dev pyproject.toml --extra dev --extra docs --override no-torch.txt -c constraints.txt
sed -n 's/^\([A-Za-z0-9_.-]*==.*\) \\$/\1/p' requirements/core.txt requirements/dev.txt |
    grep -v '^pymdown-extensions' | sort -u >"$work/constraints.txt"
lock train pyproject.toml --extra train --extra batch --override no-torch.txt -c constraints.txt
for blender in 4.2.23 4.5.15 5.0.1; do
    printf 'bpy==%s\nnumpy==1.26.4\npytest\npytest-timeout\nhypothesis\n' "$blender" >"$work/blender.in"
    lock "blender-${blender%.*}" blender.in
done
# Blender 5.1 and later run on Python 3.13 and numpy 2; the folder is left so that uv reads no project settings there.
printf 'bpy==5.2.3\nnumpy>=2.2\npytest\npytest-timeout\nhypothesis\n' >"$work/blender.in"
mv "$work/pyproject.toml" "$work/pyproject.aside"
python=3.13 lock blender-5.2 blender.in
mv "$work/pyproject.aside" "$work/pyproject.toml"
# The CPU build of torch has a local version label and is found only where pip is told of a folder or index that has
# it (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL); elsewhere this lock is skipped and the tests that need torch say so.
echo 'torch==2.13.0+cpu' >"$work/torch-cpu.in"
if [ -n "${PIP_FIND_LINKS:-}" ]; then
    lock torch-cpu torch-cpu.in -c constraints.txt --find-links "$PIP_FIND_LINKS"
    sed -i '/^--find-links/d' requirements/torch-cpu.txt
fi
