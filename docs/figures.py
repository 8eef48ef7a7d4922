"""Draws the pictures of the pages, each for light and for dark mode.

    python docs/figures.py                              all of them, into docs/images
    python docs/figures.py --to pictures packed         one, elsewhere

Needs the extras plot and onnx. The pictures show what the default model gives and what `benchmarks/README.md`
says: run this again when one of them has changed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "tools"))

import benchmark_pictures
import model_pictures
import plot_pictures
import room_pictures
from style import DARK, LIGHT, Picture, Theme, drawn_in, write

PICTURES: dict[str, Callable[[Theme], Picture]] = {
    "rooms": room_pictures.rooms,
    "hard-sigmoid": model_pictures.hard_sigmoid,
    "architecture": model_pictures.architecture,
    "packed": model_pictures.packed,
    "chain-thaw": model_pictures.chain_thaw,
    "speed": benchmark_pictures.speed,
    "agreement": benchmark_pictures.agreement,
    "attention": plot_pictures.attention,
    "emoji-bars": plot_pictures.emoji_bars,
    "encoding-map": plot_pictures.encoding_map,
    "learning-curve": plot_pictures.learning_curve,
    "confusion-matrix": plot_pictures.confusion_matrix,
}
"""The name of a file without its ending, and what draws it."""

IMAGES = Path(__file__).resolve().parent / "images"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)} (default: all)")
    parser.add_argument("--to", type=Path, default=IMAGES, metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--png", action="store_true", help="PNG in place of SVG, to look at")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(PICTURES)
    if unknown:
        parser.error(f"there is no picture {', '.join(sorted(unknown))}: use {', '.join(PICTURES)}")
    for name in options.names or PICTURES:
        for theme in (LIGHT, DARK):
            with drawn_in(theme):
                ending = ".png" if options.png else ".svg"
                write(PICTURES[name](theme), options.to / f"{name}{theme.ending}{ending}")


if __name__ == "__main__":
    main()
