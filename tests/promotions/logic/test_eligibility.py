"""Eligibility: each gate alone, their order, conflicts, memory within a batch, and an arm that nothing depends on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.logic.policy import QuietHours
from promotions.logic.eligibility import Decision, GateOutcome, Reason, decide, tie_break
from promotions.logic.facts import CampaignFacts, DeviceFacts, Facts, Rules, StoreFacts, TransitionFacts
from promotions.logic.holdout import Arm
from promotions.logic.hours import parse_hours
from promotions.logic.schedule import EVERY_DAY, Schedule, TimeWindow

PARIS = ZoneInfo("Europe/Paris")
# Tuesday, 12:30 in Paris.
FIX_TIME = datetime(2026, 9, 1, 10, 30, tzinfo=UTC)
NOW = FIX_TIME + timedelta(seconds=5)
TODAY = date(2026, 9, 1)
ADA = UUID("ada00000-0000-4000-8000-000000000001")
BO = UUID("b0000000-0000-4000-8000-000000000002")

LUNCH = TimeWindow(EVERY_DAY, time(12), time(14))
CAMPAIGN = CampaignFacts(
    id=1,
    uuid=UUID("ca000000-0000-4000-8000-000000000001"),
    brand="Bean",
    kind="coupon",
    trigger="enter",
    priority=0,
    holdout_share=0.0,
    salt="salt",
    schedule=Schedule(TODAY, date(2026, 9, 30), (LUNCH,)),
    store_ids=frozenset({10}),
    message_cap_per_device=3,
    minimum_notify_level=1,
    message_ttl_s=1200,
    offer_title="A coffee",
    message_title="A coffee for you",
    message_body="",
)
STORE = StoreFacts(
    id=10,
    uuid=UUID("50000000-0000-4000-8000-000000000010"),
    name="Bean, Les Halles",
    zone=PARIS,
    hours=parse_hours({"tue": [["09:00", "19:00"]], "wed": [["09:00", "19:00"]]}),
)
DEVICE = DeviceFacts(id=ADA, consents=frozenset({"geo_match", "messages"}), is_reachable=True)
ENTER = TransitionFacts(
    device_id=ADA,
    store_id=10,
    geofence_id=100,
    role="store",
    kind="enter",
    fix_time=FIX_TIME,
    received_at=FIX_TIME + timedelta(seconds=3),
    level=1,
    distance_m=12.0,
)
RULES = Rules(quiet_hours=QuietHours(time(21, 30), time(8)), messages_per_day=3)


@dataclass(frozen=True)
class World:
    """One case in which everything is fine; each test spoils a part."""

    campaign: CampaignFacts = CAMPAIGN
    store: StoreFacts | None = STORE
    device: DeviceFacts | None = DEVICE
    transition: TransitionFacts = ENTER
    rules: Rules = RULES
    now: datetime = NOW

    def but(self, part: str, **changes: Any) -> "World":
        spoilt: dict[str, Any] = {part: replace(getattr(self, part), **changes)}
        return replace(self, **spoilt)

    def decide(self) -> Decision:
        facts = Facts(
            campaigns=[self.campaign],
            stores={10: self.store} if self.store else {},
            devices={ADA: self.device} if self.device else {},
        )
        (decision,) = decide([self.transition], facts, self.rules, now=self.now)
        return decision


Spoil = Callable[[World], World]

# In the order of the gates.
SPOILERS: list[tuple[Reason, Spoil]] = [
    (Reason.DEVICE_INACTIVE, lambda world: world.but("device", is_active=False)),
    (Reason.NO_GEO_MATCH_CONSENT, lambda world: world.but("device", consents=frozenset({"messages"}))),
    (Reason.NO_MESSAGES_CONSENT, lambda world: world.but("device", consents=frozenset({"geo_match"}))),
    (Reason.UNREACHABLE, lambda world: world.but("device", is_reachable=False)),
    (Reason.CAMPAIGN_SILENT, lambda world: world.but("campaign", message_title="")),
    (Reason.NOT_IN_SEGMENT, lambda world: world.but("campaign", segments=frozenset({"gold"}))),
    (
        Reason.BEFORE_START,
        lambda world: world.but("campaign", schedule=Schedule(date(2026, 9, 2), date(2026, 9, 30), (LUNCH,))),
    ),
    (
        Reason.AFTER_END,
        lambda world: world.but("campaign", schedule=Schedule(date(2026, 8, 1), date(2026, 8, 31), (LUNCH,))),
    ),
    (
        Reason.OUTSIDE_WINDOW,
        lambda world: world.but(
            "campaign", schedule=Schedule(TODAY, TODAY, (TimeWindow(EVERY_DAY, time(13), time(14)),))
        ),
    ),
    (Reason.STORE_INACTIVE, lambda world: world.but("store", is_active=False)),
    (Reason.STORE_CLOSED, lambda world: world.but("store", hours=())),
    (Reason.OTHER_TRIGGER, lambda world: world.but("transition", kind="exit")),
    (Reason.LEVEL_TOO_LOW, lambda world: world.but("transition", level=0)),
    (Reason.TOO_LATE, lambda world: world.but("transition", received_at=FIX_TIME + timedelta(seconds=600.001))),
    (Reason.QUIET_HOURS, lambda world: world.but("rules", quiet_hours=QuietHours(time(12), time(13)))),
    (Reason.ALREADY_UNLOCKED, lambda world: world.but("device", unlocked_campaign_ids=frozenset({2, 1}))),
    (Reason.CAMPAIGN_CAP, lambda world: world.but("device", opportunities_by_campaign={1: 3})),
    (Reason.ALREADY_TODAY, lambda world: world.but("device", days_by_campaign={1: frozenset({TODAY})})),
    (Reason.DAILY_CAP, lambda world: world.but("device", opportunities_by_day={TODAY: 3})),
]


def test_a_device_that_passes_every_gate_is_an_opportunity() -> None:
    decision = World().decide()

    assert decision == Decision(
        transition=ENTER,
        campaign_id=1,
        outcome=GateOutcome.OPPORTUNITY,
        reason=Reason.ELIGIBLE,
        local_on=TODAY,
        arm=Arm.TREATED,
        planned_at=NOW,
        expires_at=FIX_TIME + timedelta(seconds=1200),
        open_until=datetime(2026, 9, 1, 12, 0, tzinfo=UTC),
    )
    assert (decision.device_id, decision.store_id) == (ADA, 10)


@pytest.mark.parametrize(("reason", "spoil"), SPOILERS)
def test_each_gate_refuses_alone(reason: Reason, spoil: Spoil) -> None:
    decision = spoil(World()).decide()

    assert decision == Decision(spoil(World()).transition, 1, GateOutcome.REFUSED, reason, TODAY)


@pytest.mark.parametrize(("first", "second"), list(combinations(SPOILERS, 2)))
def test_the_earlier_gate_gives_the_reason(first: tuple[Reason, Spoil], second: tuple[Reason, Spoil]) -> None:
    reason, spoil_first = first
    _, spoil_second = second

    assert spoil_first(spoil_second(World())).decide().reason == reason


def test_every_reason_is_reached_by_a_test() -> None:
    elsewhere = {Reason.ELIGIBLE, Reason.DEVICE_UNKNOWN, Reason.STORE_UNKNOWN, Reason.LOST_CONFLICT}

    assert {reason for reason, _ in SPOILERS} | elsewhere == set(Reason)


def test_an_unknown_device_or_store_is_refused_and_not_dropped() -> None:
    assert replace(World(), device=None).decide().reason is Reason.DEVICE_UNKNOWN
    assert replace(World(), store=None).decide().reason is Reason.STORE_UNKNOWN
    assert replace(World(), store=None).decide().local_on is None
    assert replace(World(), store=None, device=None).decide().reason is Reason.DEVICE_UNKNOWN


@pytest.mark.parametrize(
    ("trigger", "role", "kind", "passes"),
    [
        ("approach", "approach", "enter", True),
        ("approach", "approach", "dwell", False),
        ("approach", "store", "enter", False),
        ("enter", "store", "enter", True),
        ("enter", "approach", "enter", False),
        ("enter", "store", "dwell", False),
        ("dwell", "store", "dwell", True),
        ("dwell", "approach", "dwell", False),
        ("dwell", "store", "exit", False),
    ],
)
def test_a_campaign_waits_for_its_own_trigger(trigger: str, role: str, kind: str, passes: bool) -> None:
    world = World().but("campaign", trigger=trigger).but("transition", role=role, kind=kind)

    assert world.decide().reason == (Reason.ELIGIBLE if passes else Reason.OTHER_TRIGGER)


@pytest.mark.parametrize(
    "world",
    [
        World().but("transition", received_at=FIX_TIME + timedelta(seconds=600)),
        World().but("campaign", minimum_notify_level=0).but("transition", level=0),
        World().but("rules", quiet_hours=None),
        World().but("rules", messages_per_day=None).but("device", opportunities_by_day={TODAY: 99}),
        World().but("campaign", message_cap_per_device=None).but("device", opportunities_by_campaign={1: 99}),
        World().but("device", opportunities_by_campaign={1: 2}, opportunities_by_day={TODAY: 2}),
        World().but("device", days_by_campaign={1: frozenset({date(2026, 8, 31)}), 2: frozenset({TODAY})}),
        World().but("device", unlocked_campaign_ids=frozenset({2})),
    ],
)
def test_what_is_just_allowed_passes(world: World) -> None:
    assert world.decide().outcome is GateOutcome.OPPORTUNITY


def test_the_window_is_evaluated_at_the_fix_and_quiet_hours_at_the_time_of_sending() -> None:
    long = World().but("campaign", message_ttl_s=36_000, schedule=Schedule(TODAY, TODAY)).but("store", hours=OPEN)
    night = replace(long, now=FIX_TIME + timedelta(hours=9, minutes=5))

    assert long.decide().reason is Reason.ELIGIBLE
    assert night.decide().reason is Reason.QUIET_HOURS


OPEN = parse_hours({})


@pytest.mark.parametrize(
    ("world", "open_until"),
    [
        (World().but("campaign", message_ttl_s=36_000), datetime(2026, 9, 1, 12, 0, tzinfo=UTC)),
        (
            World()
            .but("campaign", message_ttl_s=36_000)
            .but("store", hours=parse_hours({"tue": [["09:00", "13:00"]]})),
            datetime(2026, 9, 1, 11, 0, tzinfo=UTC),
        ),
        (
            World().but("campaign", message_ttl_s=864_000, schedule=Schedule(TODAY, TODAY)).but("store", hours=OPEN),
            datetime(2026, 9, 1, 22, 0, tzinfo=UTC),
        ),
    ],
)
def test_an_offer_closes_with_the_window_or_the_store_and_its_message_expires_then(
    world: World, open_until: datetime
) -> None:
    decision = world.decide()

    assert (decision.open_until, decision.expires_at) == (open_until, open_until)


def test_a_message_expires_with_its_life_while_the_offer_goes_on() -> None:
    decision = World().but("campaign", message_ttl_s=60).decide()

    assert decision.expires_at == FIX_TIME + timedelta(seconds=60)
    assert decision.open_until == datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


def test_an_opportunity_that_could_not_be_sent_any_more_is_too_late() -> None:
    world = World().but("campaign", message_ttl_s=60)

    assert replace(world, now=FIX_TIME + timedelta(seconds=59)).decide().reason is Reason.ELIGIBLE
    assert replace(world, now=FIX_TIME + timedelta(seconds=60)).decide().reason is Reason.TOO_LATE


def decide_for(campaigns: list[CampaignFacts], transitions: list[TransitionFacts], **rules: Any) -> list[Decision]:
    stores = {10: STORE, 11: replace(STORE, id=11)}
    devices = {ADA: DEVICE, BO: replace(DEVICE, id=BO)}
    return list(decide(transitions, Facts(campaigns, stores, devices), replace(RULES, **rules), now=NOW))


def outcomes(decisions: list[Decision]) -> list[tuple[int, int, str]]:
    return [(decision.store_id, decision.campaign_id, decision.reason) for decision in decisions]


def later(transition: TransitionFacts, seconds: float, **changes: Any) -> TransitionFacts:
    fix_time = transition.fix_time + timedelta(seconds=seconds)
    return replace(transition, fix_time=fix_time, received_at=fix_time, **changes)


RIVAL = replace(CAMPAIGN, id=2)
BOTH = frozenset({10, 11})
HASH_WINNER, HASH_LOSER = sorted((1, 2), key=lambda number: tie_break(number, ADA))


@pytest.mark.parametrize(
    ("campaigns", "winner"),
    [
        ([CAMPAIGN, replace(RIVAL, priority=1)], 2),
        ([replace(CAMPAIGN, priority=-1), RIVAL], 2),
        ([CAMPAIGN, replace(RIVAL, schedule=Schedule(TODAY, date(2026, 9, 29), (LUNCH,)))], 2),
        ([replace(CAMPAIGN, schedule=Schedule(TODAY, TODAY, (LUNCH,))), RIVAL], 1),
        ([CAMPAIGN, RIVAL], HASH_WINNER),
        ([RIVAL, CAMPAIGN], HASH_WINNER),
    ],
)
def test_one_campaign_wins_the_moment(campaigns: list[CampaignFacts], winner: int) -> None:
    decisions = decide_for(campaigns, [ENTER])

    assert sorted(outcomes(decisions)) == sorted([(10, winner, "eligible"), (10, 3 - winner, "lost_conflict")])
    assert [decision.lost_to for decision in decisions] == [None, winner]


def test_at_two_stores_at_once_the_nearer_fence_wins() -> None:
    near, far = replace(ENTER, store_id=11, distance_m=5.0), ENTER
    other = replace(RIVAL, store_ids=frozenset({11}), schedule=Schedule(TODAY, date(2026, 12, 31), (LUNCH,)))

    assert outcomes(decide_for([CAMPAIGN, other], [far, near])) == [(11, 2, "eligible"), (10, 1, "lost_conflict")]


def test_one_campaign_at_two_stores_at_once_speaks_once_from_the_nearer() -> None:
    near, far = replace(ENTER, store_id=11, distance_m=5.0), ENTER

    decisions = decide_for([replace(CAMPAIGN, store_ids=BOTH)], [far, near])

    assert outcomes(decisions) == [(11, 1, "eligible"), (10, 1, "already_today")]


def test_a_refused_campaign_does_not_take_the_moment_from_another() -> None:
    first_but_silent = replace(RIVAL, priority=9, message_title="")

    assert outcomes(decide_for([CAMPAIGN, first_but_silent], [ENTER])) == [
        (10, 2, "campaign_silent"),
        (10, 1, "eligible"),
    ]


def test_the_tie_is_broken_by_device_and_not_always_alike() -> None:
    winners = {min((1, 2), key=lambda number: tie_break(number, UUID(int=device))) for device in range(50)}

    assert winners == {1, 2}


def test_transitions_of_a_batch_see_each_other_in_the_order_of_their_fixes() -> None:
    third, second = later(ENTER, 120, store_id=11), later(ENTER, 60)

    decisions = decide_for([replace(CAMPAIGN, store_ids=BOTH)], [third, second, ENTER])

    assert [(decision.transition, decision.reason) for decision in decisions] == [
        (ENTER, Reason.ELIGIBLE),
        (second, Reason.ALREADY_TODAY),
        (third, Reason.ALREADY_TODAY),
    ]


def test_the_daily_cap_over_brands_counts_within_a_batch() -> None:
    campaigns = [replace(CAMPAIGN, id=number) for number in range(1, 6)]

    decisions = decide_for(campaigns, [later(ENTER, step) for step in range(4)], messages_per_day=2)

    granted = [decision for decision in decisions if decision.outcome is GateOutcome.OPPORTUNITY]
    assert len(granted) == 2
    assert len({decision.campaign_id for decision in granted}) == 2
    assert {decision.reason for decision in decisions[-5:]} == {Reason.ALREADY_TODAY, Reason.DAILY_CAP}


def test_the_cap_of_a_campaign_counts_over_days_within_a_batch() -> None:
    campaign = replace(CAMPAIGN, message_cap_per_device=1, message_ttl_s=86_400, schedule=Schedule(TODAY, TODAY))
    long = replace(campaign, schedule=Schedule(TODAY, date(2026, 9, 30)))
    facts = Facts([long], {10: replace(STORE, hours=OPEN)}, {ADA: DEVICE})
    midnight = datetime(2026, 9, 1, 22, 0, tzinfo=UTC)
    before, after = later(ENTER, 41_390), later(ENTER, 41_400)

    decisions = decide([before, after], facts, Rules(None, 5), now=midnight)

    assert [(decision.reason, decision.local_on) for decision in decisions] == [
        (Reason.ELIGIBLE, TODAY),
        (Reason.CAMPAIGN_CAP, date(2026, 9, 2)),
    ]


def test_devices_do_not_see_each_others_caps() -> None:
    decisions = decide_for([CAMPAIGN], [ENTER, replace(ENTER, device_id=BO)])

    assert [decision.reason for decision in decisions] == [Reason.ELIGIBLE, Reason.ELIGIBLE]


def test_a_store_without_campaigns_has_nothing_to_decide() -> None:
    assert decide_for([CAMPAIGN], [replace(ENTER, store_id=11)]) == []
    assert decide_for([], [ENTER]) == []
    assert decide_for([CAMPAIGN], []) == []


def test_ghost_opportunities_count_like_real_ones() -> None:
    held_out = replace(CAMPAIGN, holdout_share=1.0, store_ids=BOTH)

    decisions = decide_for(
        [held_out, replace(RIVAL, store_ids=BOTH, priority=-1)], [ENTER, later(ENTER, 60, store_id=11)]
    )

    assert [(decision.campaign_id, decision.reason, decision.arm) for decision in decisions] == [
        (1, Reason.ELIGIBLE, Arm.CONTROL),
        (2, Reason.LOST_CONFLICT, None),
        (1, Reason.ALREADY_TODAY, None),
        (2, Reason.ELIGIBLE, Arm.TREATED),
    ]


worlds_of_campaigns = st.lists(
    st.builds(
        replace,
        st.just(CAMPAIGN),
        id=st.integers(1, 4),
        trigger=st.sampled_from(["approach", "enter", "dwell"]),
        priority=st.integers(0, 1),
        store_ids=st.frozensets(st.sampled_from([10, 11]), min_size=1),
        message_cap_per_device=st.one_of(st.none(), st.integers(0, 2)),
        holdout_share=st.just(0.5),
        message_title=st.sampled_from(["", "A coffee for you"]),
    ),
    max_size=4,
    unique_by=lambda campaign: campaign.id,
)
batches = st.lists(
    st.builds(
        lambda step, **changes: later(ENTER, step, **changes),
        st.integers(-3, 3),
        device_id=st.sampled_from([ADA, BO]),
        store_id=st.sampled_from([10, 11]),
        role=st.sampled_from(["store", "approach"]),
        kind=st.sampled_from(["enter", "dwell", "exit"]),
        level=st.integers(0, 2),
        distance_m=st.sampled_from([1.0, 2.0]),
    ),
    max_size=8,
)


@settings(max_examples=200)
@given(worlds_of_campaigns, batches, st.text("abc", max_size=3))
def test_another_salt_changes_the_arm_and_nothing_else(
    campaigns: list[CampaignFacts], batch: list[TransitionFacts], salt: str
) -> None:
    salted = [replace(campaign, salt=salt) for campaign in campaigns]

    before, after = decide_for(campaigns, batch), decide_for(salted, batch)

    assert [replace(decision, arm=None) for decision in before] == [replace(decision, arm=None) for decision in after]
    assert all((decision.arm is not None) == (decision.outcome is GateOutcome.OPPORTUNITY) for decision in after)


@settings(max_examples=200)
@given(worlds_of_campaigns, batches, st.randoms(use_true_random=False))
def test_nothing_is_lost_and_no_cap_is_passed(
    campaigns: list[CampaignFacts], batch: list[TransitionFacts], random: Any
) -> None:
    decisions = decide_for(campaigns, batch, messages_per_day=2)

    pairs = sum(transition.store_id in campaign.store_ids for transition in batch for campaign in campaigns)
    granted = [decision for decision in decisions if decision.outcome is GateOutcome.OPPORTUNITY]
    moments = {(decision.device_id, decision.transition.fix_time) for decision in granted}
    once_a_day = {(decision.device_id, decision.campaign_id, decision.local_on) for decision in granted}
    assert len(decisions) == pairs
    assert len(granted) == len(moments) == len(once_a_day)
    assert all(sum(decision.device_id == device for decision in granted) <= 2 for device in (ADA, BO))
    shuffled = sorted(batch, key=lambda _: random.random())
    again = decide_for(campaigns, shuffled, messages_per_day=2)
    assert sorted(outcomes(again)) == sorted(outcomes(decisions))
