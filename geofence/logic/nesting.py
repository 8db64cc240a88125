"""The nesting depth of JSON, measured before anything is built from it."""

import re
from itertools import accumulate

# The deepest format taken, GeoJSON inside a batch of positions, nests seven levels.
NESTING_MAX = 32

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def is_nested_deeply(text: str) -> bool:
    """Return whether a JSON text is nested deeper than any format we take; for other text the answer is undefined.

    A parser reports this too, but only at the bottom of Python's stack. Objects that the garbage collector finalises
    there cannot run their finaliser and are never finalised.
    """
    if text.count("[") + text.count("{") <= NESTING_MAX:
        return False
    brackets = _STRING.sub("", text).encode("ascii", "ignore").translate(None, delete=_NO_BRACKET)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > NESTING_MAX
