"""What a first-time reader sees of a good, a bad and a half-measured run, into docs/: ``pictures.py GOOD BAD HALF``.

Three run folders with the ``card.html`` that ``shosei card`` made without ``--lang``: the page speaks as its browser
does. Each first screen is taken on a desktop and a phone, in every language. Needs playwright, a Chromium and Pillow,
which makes pictures of 256 colours: 40 % of the bytes.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parents[1] / "docs"
LOCALES = {"en": "en-GB", "zh-CN": "zh-CN", "ja": "ja-JP"}
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}  # CSS pixels
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def main(good: str, bad: str, half: str) -> None:
    folder = DOCS / "pictures"
    folder.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, run in (("good", good), ("bad", bad), ("half", half)):
            for screen in SCREENS:
                for language in LOCALES:
                    picture = first_screen(browser, Path(run) / "card.html", screen, language)
                    picture.save(folder / f"{name}-{screen}-{language}.png", optimize=True)
        browser.close()
    shutil.copyfile(folder / "good-desktop-en.png", DOCS / "card.png")


def first_screen(browser: Any, card: Path, screen: str, language: str) -> Image.Image:
    """What is seen without scrolling, by day."""
    width, height = SCREENS[screen]
    page = browser.new_page(viewport={"width": width, "height": height}, locale=LOCALES[language], color_scheme="light")
    page.goto(card.resolve().as_uri())
    shot = page.screenshot()
    page.close()
    return with_few_colours(Image.open(io.BytesIO(shot)).convert("RGB"))


def with_few_colours(picture: Image.Image) -> Image.Image:
    """In its 192 commonest colours, which are grounds and texts, and 64 that cover the rare ones of marks."""
    commonest = sorted(picture.getcolors(picture.width * picture.height), reverse=True)[:192]
    rare = picture.quantize(64, Image.Quantize.MAXCOVERAGE).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in commonest for part in colour] + rare)
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python bench/pictures.py GOOD BAD HALF, three run folders with a card.html")
    main(*sys.argv[1:])
