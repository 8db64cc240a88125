"""More comes than is worked: reports are refused first, then fixes, then unlocks, tills never, and nothing is lost."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from promotions.services.accounts.brand_tokens import create_brand_token
from promotions.shedding import RETRY_AFTER_S
from tests.faults.conftest import times
from tests.faults.discrepancies import require_clean
from tests.faults.history import History
from tests.faults.phones import Crowd, Line, Sample, make_walkers, open_till, register, unlock_coupons
from tests.faults.slow_worker import SECONDS_PER_FIX
from tests.faults.stage import Stage, wait_for

# Ages are heard once a second: with two between them, no two thresholds are passed in one look.
REPORTS_AGE_S, FIXES_AGE_S, UNLOCKS_AGE_S = 1, 3, 5
THRESHOLDS = {
    "SHED_REPORTS_AGE_S": str(REPORTS_AGE_S),
    "SHED_FIXES_AGE_S": str(FIXES_AGE_S),
    "SHED_UNLOCKS_AGE_S": str(UNLOCKS_AGE_S),
}


def test_at_overload_reports_go_first_then_fixes_then_unlocks_and_tills_never(
    stage: Stage, history: History, report: Callable[..., None]
) -> None:
    crowd = Crowd(
        stage,
        history,
        make_walkers(120, steps=400),
        400,
        till=open_till(stage),
        coupons=unlock_coupons(stage, times(50, 200)),
    )
    door = Door(
        stage,
        askers=register(400),
        brand_token=create_brand_token(brand=stage.world.campaign.brand, label="Reports", now=datetime.now(tz=UTC)),
    )

    with stage.web_and_worker("tests.faults.slow_worker", **{SECONDS_PER_FIX: "0.05", **THRESHOLDS}):
        with crowd.running(), door.asking():
            wait_for(lambda: find_refused(door.unlocks), 20.0)
            time.sleep(times(1, 10))
        oldest_s = stage.waiting().oldest_age_ms / 1000
    reported = require_clean(stage, history)

    walks, taken = crowd.samples["walk"], crowd.samples["till"]
    first = [find_refused(samples)[0] for samples in (door.reports, walks, door.unlocks)]
    report(
        refused_reports=len(find_refused(door.reports)),
        refused_fixes=len(find_refused(walks)),
        refused_unlocks=len(find_refused(door.unlocks)),
        oldest_s=round(oldest_s, 1),
        redeemed=len(taken),
        slowest_redemption_s=round(max(sample.took_s for sample in taken), 2),
        **reported,
    )
    assert [sample.at_s for sample in first] == sorted(sample.at_s for sample in first)
    assert {sample.status for sample in walks} == {202, 503}
    assert {sample.status for sample in door.reports} == {200, 503}
    assert {sample.status for sample in door.unlocks} == {201, 503}
    for sample in [*find_refused(door.reports), *find_refused(walks), *find_refused(door.unlocks)]:
        assert sample.code == "busy"
        assert RETRY_AFTER_S[0] <= sample.retry_after_s <= RETRY_AFTER_S[1]
    assert {sample.status for sample in taken} == {201}
    assert any(sample.at_s > first[-1].at_s for sample in taken)


def find_refused(samples: Sequence[Sample]) -> list[Sample]:
    """The 503s."""
    return [sample for sample in list(samples) if sample.status == 503]


@dataclass
class Door:
    """Phones of which one after the other asks for the offer, and a brand that asks for its report before each."""

    stage: Stage
    askers: list[tuple[str, str]]
    brand_token: str
    reports: list[Sample] = field(default_factory=list)
    unlocks: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the block ends."""
        hand = threading.Thread(target=self._ask)
        hand.start()
        try:
            yield
        finally:
            self._over.set()
            hand.join(60)
            assert not hand.is_alive()

    def _ask(self) -> None:
        shop, campaign = self.stage.world.shop, self.stage.world.campaign
        with (
            closing(Line(self.stage.port, self.reports)) as brand,
            closing(Line(self.stage.port, self.unlocks)) as door,
        ):
            for _device_id, token in self.askers:
                if self._over.wait(0.05):
                    return
                brand.send("GET", f"/v1/campaigns/{campaign.uuid}/report", None, self.brand_token)
                fix = {
                    "latitude": shop.latitude_deg,
                    "longitude": shop.longitude_deg,
                    "horizontal_accuracy_m": 5,
                    "fix_time": datetime.now(tz=UTC).isoformat(),
                }
                door.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix}, token)
