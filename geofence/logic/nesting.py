"""How deeply JSON is nested, told before anything is built from it."""

import re
from itertools import accumulate

# The deepest format taken, GeoJSON inside a batch of positions, nests seven levels.
NESTING_MAX = 32

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def is_nested_deeply(text: str) -> bool:
    """Whether a JSON text goes deeper than any format we take; of text that is no JSON, the answer says nothing.

    A parser tells this too, but only at the bottom of Python's stack. What the garbage collector happens to finalise
    there cannot run and is never finalised.
    """
    if text.count("[") + text.count("{") <= NESTING_MAX:
        return False
    brackets = _STRING.sub("", text).encode("ascii", "ignore").translate(None, delete=_NO_BRACKET)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > NESTING_MAX
