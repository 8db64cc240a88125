"""The till's colours: the text is legible (WCAG 2.2, 1.4.3 and 1.4.11, level AA)."""

import re
from itertools import pairwise

import pytest

from promotions.settings import BASE_DIR

CSS = (BASE_DIR / "promotions/static/staff/till.css").read_text(encoding="utf-8")
COLOURS = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", CSS))
PAIRS = [(name.removeprefix("on-"), name) for name in COLOURS if name.startswith("on-")]
TEXT, OUTLINE = 4.5, 3.0


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    shares = [int(colour[start:end], 16) / 255 for start, end in pairwise((1, 3, 5, 7))]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_measure_agrees_with_the_published_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(("ground", "writing"), PAIRS)
def test_what_is_written_stands_out_from_its_ground(ground: str, writing: str) -> None:
    assert contrast(COLOURS[ground], COLOURS[writing]) >= TEXT


@pytest.mark.parametrize("ground", ["card", "paper"])
@pytest.mark.parametrize("line", ["edge", "focus"])
def test_fields_and_the_focus_stand_out(ground: str, line: str) -> None:
    assert contrast(COLOURS[ground], COLOURS[line]) >= OUTLINE


def test_every_kind_of_answer_has_its_colours() -> None:
    kinds = set(re.findall(r'data-kind="(\w+)"\]', CSS)) - {"again"}

    assert kinds <= COLOURS.keys()
    assert {f"on-{kind}" for kind in kinds} <= COLOURS.keys()
