#!/usr/bin/env bash
# The system libraries that headless Blender and off-screen rendering load. Installs what is missing where that is
# possible (root on a Debian or Ubuntu machine); elsewhere says loudly what is missing and goes on.
set -euo pipefail
[ "$(uname -s)" = Linux ] || exit 0

# library that must be loadable -> Debian package that has it
needed=(
    libEGL.so.1:libegl1 libGL.so.1:libgl1 libX11.so.6:libx11-6 libXi.so.6:libxi6 libXxf86vm.so.1:libxxf86vm1
    libXfixes.so.3:libxfixes3 libXrender.so.1:libxrender1 libxkbcommon.so.0:libxkbcommon0 libSM.so.6:libsm6
    libICE.so.6:libice6 libgomp.so.1:libgomp1
)
known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p)
missing=()
for pair in "${needed[@]}"; do
    grep -q "${pair%%:*}" <<<"$known" || missing+=("${pair##*:}")
done
# the software renderer is loaded by name at run time
compgen -G '/usr/lib/*/dri/swrast_dri.so' >/dev/null || compgen -G '/usr/lib/*/libgallium*.so' >/dev/null \
    || missing+=(libgl1-mesa-dri)

[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing system libraries: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
    echo "!! MISSING SYSTEM LIBRARIES: ${missing[*]}"
    echo "!! headless Blender and rendering will fail; install them, on Debian or Ubuntu: apt-get install ${missing[*]}"
fi
