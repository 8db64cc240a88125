"""Shared state of all simulated people: the city, the clock, the wire, and the journal."""

import base64
import hmac
import uuid
from collections import Counter
from dataclasses import dataclass, field

from promotions.simulation.city import City
from promotions.simulation.client import Wire
from promotions.simulation.population import Day
from promotions.simulation.warp import DayClock

# What is left of the HMAC in a coupon's QR.
_MAC_BYTES = 10


@dataclass(slots=True)
class Journal:
    """Records of the simulation itself, to compare with the server's numbers."""

    fixes_accepted: int = 0
    fixes_rejected: int = 0
    fixes_taken: int = 0
    messages_received: int = 0
    # Answers to unlock attempts by code, and to scans at tills.
    unlocks: Counter[str] = field(default_factory=Counter)
    scans: Counter[str] = field(default_factory=Counter)
    # Why people set off for a shop: message, app, refusal.
    set_off: Counter[str] = field(default_factory=Counter)
    cheat_unlocks: Counter[str] = field(default_factory=Counter)
    max_lag_s: float = 0.0

    def note_lag(self, lag_s: float) -> None:
        """Return how far behind the shown clock an event happened, in shown seconds."""
        self.max_lag_s = max(self.max_lag_s, lag_s)


@dataclass(frozen=True, slots=True)
class CouponInHand:
    """The code or text that a customer shows at the till."""

    code: str
    signed: str
    rotation_key: str
    step_s: int

    def render_qr(self, epoch_s: float) -> str:
        """The text in the QR at this second, rendered offline as an app does it."""
        step = str(int(epoch_s // self.step_s))
        mac = hmac.digest(_read_base64(self.rotation_key), step.encode("ascii"), "sha256")[:_MAC_BYTES]
        return f"D1.{self.signed}.{step}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode('ascii')}"


def _read_base64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, slots=True)
class World:
    """The stage. `target_shops` take part in the campaigns; the contest is the one that people try from elsewhere."""

    city: City
    clock: DayClock
    day: Day
    wire: Wire
    journal: Journal
    target_shops: tuple[int, ...]
    seed: int
    contest_id: str


def fresh_id() -> str:
    """A new id. Never seeded: a second run with the same seed is other phones, not the same requests again."""
    return str(uuid.uuid4())
