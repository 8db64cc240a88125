"""One device at one fence: the state machine over fixes in event time. Pure: no clock, no I/O."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where the machine stands. A visit is open in every phase but `outside`."""

    OUTSIDE = "outside"
    INSIDE = "inside"
    DWELLING = "dwelling"
    LINGERING = "lingering"


@dataclass(frozen=True, slots=True)
class PresenceState:
    """All that one device's presence at one fence has to remember; `*_at` are epoch seconds of fixes.

    Example of a confirmed visit: `PresenceState(state=Phase.DWELLING, last_fix_at=1790000400.0,
    entered_at=1790000000.0, inside_since_at=1790000000.0, last_inside_at=1790000400.0,
    dwelled_at=1790000190.0, inside_fixes=12, best_accuracy_m=8.0)`.

    pii: location (which shop, when), as long as the presence row it is stored in.
    """

    state: Phase = Phase.OUTSIDE
    # The last fix this pair has seen: what comes at or before it moves nothing.
    last_fix_at: float | None = None
    # When the open visit began (its first inside fix); None when no visit is open.
    entered_at: float | None = None
    # First fix of the unbroken run of inside fixes; begins before `enter`, and the dwell counts from it.
    inside_since_at: float | None = None
    # The last inside fix; kept after a gap closed the visit: the next one counts four hours from it.
    last_inside_at: float | None = None
    # The first fix of the run that says the phone left; while lingering, when it left.
    left_at: float | None = None
    # The first fix of the run that says the phone is far away.
    departing_at: float | None = None
    # When the open visit's dwell was emitted; None before.
    dwelled_at: float | None = None
    # A gap closed the last visit: no new one before a departure or four hours since the last inside fix.
    barred: bool = False
    # Evidence of the current unbroken run of inside fixes.
    inside_fixes: int = 0
    best_accuracy_m: float | None = None
