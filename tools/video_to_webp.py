"""A short video as a moving image for a page, after `make demo`. PyAV and Pillow.

.venv/bin/python tools/video_to_webp.py demo_output/comparison.mp4 docs/images/demo.webp
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
from PIL import Image


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--width", type=int, default=720)
    parser.add_argument("--quality", type=int, default=60)
    options = parser.parse_args()
    with av.open(str(options.video)) as container:
        stream = container.streams.video[0]
        duration_ms = round(1000 / float(stream.average_rate or 10))
        images = [frame.to_image() for frame in container.decode(stream)]
    size = (options.width, round(images[0].height * options.width / images[0].width))
    small = [image.resize(size, Image.Resampling.LANCZOS) for image in images]
    options.image.parent.mkdir(parents=True, exist_ok=True)
    small[0].save(
        options.image,
        save_all=True,
        append_images=small[1:],
        duration=duration_ms,
        loop=0,
        quality=options.quality,
        method=4,
    )
    print(f"{options.image}: {len(small)} images, {options.image.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
