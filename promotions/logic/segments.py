"""Segments: stable codes that a brand gives to devices, and that a campaign can require."""

import re
from collections import Counter
from collections.abc import Collection, Iterator

from promotions.errors import Fault
from promotions.errors import gettext_noop as _

MAX_CODE_CHARS = 40
MAX_SEGMENTS = 50
_CODE = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{MAX_CODE_CHARS - 1}}}")


def is_member(required: Collection[str], segments: Collection[str]) -> bool:
    """Return whether a device with these segments may have an offer. One of the required ones is enough; none: all."""
    return not required or not frozenset(required).isdisjoint(segments)


def find_segment_faults(codes: Collection[str], pointer: str) -> Iterator[Fault]:
    """Yield the faults of a list of codes. The pointer leads to the list."""
    for index, code in enumerate(codes):
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            yield Fault(
                f"{pointer}/{index}",
                "invalid_format",
                _("{code} is no segment. Use 1 to {most} of a-z, 0-9, - and _, such as “gold-card”."),
                {"code": f"“{str(code)[:MAX_CODE_CHARS]}”", "most": MAX_CODE_CHARS},
            )
    for code, count in Counter(map(str, codes)).items():
        if count > 1:
            yield Fault(pointer, "duplicate_value", _("“{code}” is listed more than once."), {"code": code})
    if len(codes) > MAX_SEGMENTS:
        yield Fault(pointer, "wrong_length", _("At most {most} segments are allowed."), {"most": MAX_SEGMENTS})
