"""How flat and still planted feet are, on each clip's own body and on rigs of eleven families.

    python tools/measure_soles.py CLIP...

While heel and ball of a foot stand: the sole's tilt, and how far ankle and ball move; over all frames: how far the
lowest foot point lies under the floor. `--check` ends with 1 where a mean tilt is over 1 degree, a tilt over 5 degrees,
a movement over 3 mm or a depth over 2 mm.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blender_addon.motion.clip import read_clip
from tests.retarget.soles import clip_soles, rig_soles, sole_rigs


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    bad = 0
    for path in arguments.clips:
        clip = read_clip(path)
        rows = {"own body": clip_soles(clip)}
        rows |= {name: rig_soles(clip, rig, skeleton_map) for name, (rig, skeleton_map) in sole_rigs().items()}
        print(path.name)
        for name, soles in rows.items():
            bad += not soles.good()
            print(f"  {name:24s}{soles}{'' if soles.good() else '  !'}")
    return 1 if bad and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
