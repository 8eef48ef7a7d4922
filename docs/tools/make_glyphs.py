"""Draw the pictures of the 64 emojis that come with the package: torchmoji/plot/emojis.png.

Needs the font Noto Color Emoji as bitmaps (Debian: fonts-noto-color-emoji) and the extra `plot`. ♡ is not in
it and is drawn as the outline of its ♥. The colours are reduced to 256, with transparency.

Examples:
    make_glyphs.py
    make_glyphs.py --font NotoColorEmoji.ttf --out emojis.png
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt
from sklearn.cluster import KMeans

from torchmoji.cli.arguments import make_parser
from torchmoji.emojis import EMOJIS
from torchmoji.files.atomic import atomic_path
from torchmoji.plot.glyphs import CELL, ROW, SHEET_NAME

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
OUT = Path(__file__).resolve().parents[2] / "torchmoji" / "plot" / SHEET_NAME
STRIKE = 109
"""The size that the font's bitmaps have, in pixels."""
COLOURS = 256
LINE = 0.09
"""Of ♡: the width of its line as a share of its own."""


def drawn(font: Path, emoji: str) -> Image.Image:
    """The bitmap of an emoji, cropped to what is not transparent."""
    try:
        face = ImageFont.truetype(str(font), STRIKE)
    except OSError as error:
        raise SystemExit(f"{font}: {error}; give a Noto Color Emoji of bitmaps (CBDT)") from error
    image = Image.new("RGBA", (2 * STRIKE, 2 * STRIKE))
    ImageDraw.Draw(image).text((0, 0), emoji, font=face, embedded_color=True)
    return image.crop(image.getbbox())


def fitted(image: Image.Image) -> Image.Image:
    """Scaled to fill a cell, in its middle."""
    scale = CELL / max(image.size)
    scaled = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(scaled, ((CELL - scaled.width) // 2, (CELL - scaled.height) // 2))
    return cell


def outline(image: Image.Image) -> Image.Image:
    """The rim of a picture in its most common colour, the inside transparent."""
    pixels = np.asarray(image).copy()
    opaque = pixels[..., 3] > 127
    colours, counts = np.unique(pixels[opaque][:, :3], axis=0, return_counts=True)
    depth = distance_transform_edt(np.pad(opaque, 1))[1:-1, 1:-1]
    rim = np.clip(LINE * image.width - depth + 0.5, 0, 1)
    pixels[..., :3] = colours[counts.argmax()]
    pixels[..., 3] = (pixels[..., 3] * rim).round()
    return Image.fromarray(pixels)


def draw_sheet(font: Path) -> Image.Image:
    """All glyphs, RGBA, in rows."""
    sheet = Image.new("RGBA", (ROW * CELL, len(EMOJIS) // ROW * CELL))
    for number, emoji in enumerate(EMOJIS):
        image = outline(drawn(font, "♥")) if emoji == "♡" else drawn(font, emoji)
        top, left = divmod(number, ROW)
        sheet.paste(fitted(image), (left * CELL, top * CELL))
    return sheet


def reduce_colours(sheet: Image.Image) -> tuple[Image.Image, bytes]:
    """A picture of a palette, and the opacity of each of its colours.

    Colours are clustered premultiplied, so that what is hardly seen counts little; a power below 1 of their
    counts gives small parts of a glyph a colour of their own.
    """
    pixels = np.asarray(sheet, dtype=np.float64).reshape(-1, 4)
    pixels[:, :3] *= pixels[:, 3:] / 255
    seen, place, counts = np.unique(pixels.round(), axis=0, return_inverse=True, return_counts=True)
    _, part = np.unique(seen // 4, axis=0, return_inverse=True)  # fewer, for speed
    weights = np.bincount(part.ravel(), counts)
    sums = [np.bincount(part.ravel(), counts * channel) for channel in seen.T]
    clusters = KMeans(COLOURS - 1, n_init=1, max_iter=100, random_state=0)
    clusters.fit(np.stack(sums, axis=1) / weights[:, None], sample_weight=weights**0.75)
    centres = np.vstack([np.zeros(4), clusters.cluster_centers_])
    parts = np.array_split(seen, 1 + len(seen) // 4096)
    nearest = np.concatenate([_nearest(rows, centres) for rows in parts])
    opacity = np.where(centres[:, 3] > 251, 255, centres[:, 3].round())  # flat faces, not nearly opaque ones
    colours = np.divide(
        centres[:, :3] * 255, centres[:, 3:], out=np.zeros((COLOURS, 3)), where=centres[:, 3:] > 0
    )
    reduced = Image.fromarray(nearest[place.ravel()].reshape(sheet.height, sheet.width).astype(np.uint8), "L")
    reduced.putpalette(colours.clip(0, 255).round().astype(np.uint8).tobytes())
    return reduced, opacity.astype(np.uint8).tobytes()


def _nearest(rows: npt.NDArray[np.float64], centres: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    distances: npt.NDArray[np.float64] = ((rows[:, None] - centres) ** 2).sum(2)
    return distances.argmin(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, draw, write."""
    parser = make_parser(__doc__)
    parser.add_argument("--font", type=Path, default=FONT, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help="default: the package's own")
    options = parser.parse_args(arguments)
    if not options.font.is_file():
        parser.error(f"there is no font {options.font}: install Noto Color Emoji, or name it with --font")
    reduced, opacity = reduce_colours(draw_sheet(options.font))
    with atomic_path(options.out) as temporary:
        reduced.save(temporary, "PNG", optimize=True, transparency=opacity)
    print(f"{options.out}: {len(EMOJIS)} glyphs, {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
