"""Take the pictures of the demo page that the documentation shows: demo.png and demo-phone.png.

Needs the extra `server`, playwright and Chromium (Debian: chromium), and a font with emojis in colour
(Debian: fonts-noto-color-emoji).

Examples:
    demo_screenshot.py
    demo_screenshot.py --out pictures --browser /usr/bin/chromium
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torchmoji.cli.arguments import make_parser
from torchmoji.files.atomic import atomic_path
from torchmoji.server import served

OUT = Path(__file__).resolve().parents[2] / "docs" / "images"
TEXTS = ("I love mom's cooking", "not again.. my train is late")
PICTURES = {"demo.png": (1280, TEXTS), "demo-phone.png": (390, TEXTS[:1])}
"""Name -> width of the window in pixels, and texts; the picture has the page's whole height."""
HEIGHT = 844
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """The path of an installed Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def take(browser: Any, address: str, width: int, texts: Sequence[str], path: Path) -> None:
    """Write a picture of the page with texts in its boxes.

    Args:
        browser: A browser of playwright.
        address: The page's.
        width: Of the window, in pixels.
        texts: One or two texts.
        path: The new file.
    """
    page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme="light")
    page.goto(address)
    for box, result, text in zip(("#first-text", "#second-text"), ("#first", "#second"), texts, strict=False):
        page.locator(f"{box} textarea").fill(text)
        page.locator(f"{result} .bars").wait_for()
    if len(texts) > 1:
        page.locator("#both .similarity").wait_for()
    page.evaluate("document.activeElement.blur()")  # no blinking caret
    with atomic_path(path) as temporary:
        page.screenshot(path=temporary, full_page=True, animations="disabled")
    page.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="default: docs/images")
    parser.add_argument("--browser", metavar="FILE", help="Chromium; by default the one that is installed")
    options = parser.parse_args(arguments)
    executable = options.browser or find_browser()
    if executable is None:
        parser.error("there is no Chromium: install it (Debian: chromium), or name it with --browser")
    from playwright.sync_api import sync_playwright

    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for name, (width, texts) in PICTURES.items():
            take(browser, address, width, texts, options.out / name)
            print(options.out / name)
        browser.close()


if __name__ == "__main__":
    main()
