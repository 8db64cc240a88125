"""What the day came to: the table people read, the file programs read, and what must hold or the demo has failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promotions.simulation.truth import Score

# What the server is held to.
RIGHT_AT_LEAST = 0.97
INVENTED_AT_MOST = 0.01
QUIET_M = 20.0


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, and the 95 % interval of the share."""

    part: int
    whole: int
    low: float
    high: float

    def __str__(self) -> str:
        if not self.whole:
            return "nobody"
        return f"{self.part} of {self.whole} ({self.part / self.whole:.0%}; {self.low:.0%} to {self.high:.0%})"


@dataclass(frozen=True, slots=True)
class CampaignOutcome:
    """One campaign's funnel, as the server reports it."""

    name: str
    treated: int
    control: int
    messages_sent: int
    messages_dropped: int
    refusals: int
    refused_for: Mapping[str, int]
    arrived_soon: Share
    unlocks: int
    redemptions: int
    treated_visits: Share
    control_visits: Share
    incremental: tuple[float, float, float] | None
    verdict: str
    reason: str

    def effect(self) -> str:
        """What the message caused, in words that do not claim more than is known."""
        if self.incremental is None:
            return f"{self.verdict}: nothing to compare with"
        estimate, low, high = self.incremental
        # Whole visits: −0 is none.
        words = f"{self.verdict}: {round(estimate):+d} visits, between {round(low):+d} and {round(high):+d}"
        return f"{words}; too small to prove" if self.reason == "too_few_conversions" else words


@dataclass(frozen=True, slots=True)
class Truth:
    """The server's visits against what really happened; `cheats` are believed visits of phones that lied.

    `mistakes`: each stay missed and each visit invented, in words.
    """

    everybody: Score
    quiet: Score
    cheats: int
    doubtful: int
    mistakes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything there is to say about one run."""

    phones: int
    seed: int
    rate: float
    shown_on: str
    real_s: float
    fixes_accepted: int
    fixes_rejected: int
    visits: int
    campaigns: Sequence[CampaignOutcome]
    contest: CampaignOutcome
    truth: Truth
    unlocks_answered: Mapping[str, int]
    cheats_answered: Mapping[str, int]
    scans: Mapping[str, int]
    set_off: Mapping[str, int]
    max_lag_s: float
    slowest_answer_s: float
    faults: Sequence[str]

    def total(self, field: str) -> int:
        """A number summed over the campaigns."""
        return sum(getattr(campaign, field) for campaign in self.campaigns)


def find_truth_faults(truth: Truth) -> list[str]:
    """How the server's visits fall short of what is demanded."""
    faults = []
    if truth.everybody.right_share < RIGHT_AT_LEAST:
        faults.append(f"only {truth.everybody.right_share:.1%} of the real visits were found")
    if truth.quiet.invented_share > INVENTED_AT_MOST:
        faults.append(f"{truth.quiet.invented_share:.1%} of the visits of phones with little noise were invented")
    if truth.doubtful:
        faults.append(f"the simulation made {truth.doubtful} stays that nobody could judge")
    return faults


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The report file; the first ten keys are a contract."""
    return {
        "fixes_accepted": outcome.fixes_accepted,
        "fixes_rejected": outcome.fixes_rejected,
        "visits": outcome.visits,
        "opportunities_treated": outcome.total("treated"),
        "opportunities_control": outcome.total("control"),
        "messages_sent": outcome.total("messages_sent"),
        "refusals": outcome.total("refusals"),
        "unlocks": outcome.total("unlocks"),
        "redemptions": outcome.total("redemptions"),
        "arrived_within_30_min_after_refusal": outcome.contest.arrived_soon.part,
        "refused_elsewhere": outcome.contest.arrived_soon.whole,
        "phones": outcome.phones,
        "seed": outcome.seed,
        "rate": outcome.rate,
        "shown_on": outcome.shown_on,
        "real_seconds": round(outcome.real_s, 1),
        "max_lag_shown_seconds": round(outcome.max_lag_s, 1),
        "slowest_answer_seconds": round(outcome.slowest_answer_s, 3),
        "truth": {
            "all_phones": _score_as_json(outcome.truth.everybody),
            "phones_up_to_20_m_noise": _score_as_json(outcome.truth.quiet),
            "visits_of_cheats_believed": outcome.truth.cheats,
            "mistakes": list(outcome.truth.mistakes),
        },
        "campaigns": [_campaign_as_json(campaign) for campaign in outcome.campaigns],
        "unlock_answers": dict(outcome.unlocks_answered),
        "unlock_answers_to_cheats": dict(outcome.cheats_answered),
        "till_answers": dict(outcome.scans),
        "set_off_because_of": dict(outcome.set_off),
        "faults": list(outcome.faults),
    }


def _score_as_json(score: Score) -> dict[str, Any]:
    return {
        "right": score.right,
        "missed": score.missed,
        "invented": score.invented,
        "right_share": round(score.right_share, 4),
        "invented_share": round(score.invented_share, 4),
    }


def _campaign_as_json(campaign: CampaignOutcome) -> dict[str, Any]:
    return {
        "name": campaign.name,
        "opportunities_treated": campaign.treated,
        "opportunities_control": campaign.control,
        "messages_sent": campaign.messages_sent,
        "messages_dropped": campaign.messages_dropped,
        "refusals_by_reason": dict(campaign.refused_for),
        "unlocks": campaign.unlocks,
        "redemptions": campaign.redemptions,
        "visited_within_2_h": {
            "treated": [campaign.treated_visits.part, campaign.treated_visits.whole],
            "control": [campaign.control_visits.part, campaign.control_visits.whole],
        },
        "incremental_visits": None
        if campaign.incremental is None
        else [round(each, 2) for each in campaign.incremental],
        "verdict": campaign.verdict,
        "reason": campaign.reason,
    }


def as_table(outcome: Outcome) -> str:
    """The funnel as people read it."""
    contest, truth = outcome.contest, outcome.truth
    rows: list[tuple[str, Sequence[str]]] = [
        ("", [campaign.name for campaign in outcome.campaigns]),
        ("Opportunities, treated", _each(outcome, "treated")),
        ("Opportunities, control", _each(outcome, "control")),
        ("Messages sent", _each(outcome, "messages_sent")),
        ("Messages dropped", _each(outcome, "messages_dropped")),
        ("Refused", _each(outcome, "refusals")),
        ("Unlocked", _each(outcome, "unlocks")),
        ("Redeemed at the till", _each(outcome, "redemptions")),
        ("Visited within 2 h, treated", [str(each.treated_visits) for each in outcome.campaigns]),
        ("Visited within 2 h, control", [str(each.control_visits) for each in outcome.campaigns]),
    ]
    lines = [
        f"{outcome.phones} phones on {outcome.shown_on}, {outcome.rate:g} times faster, in {outcome.real_s:.0f} s.",
        "",
        f"{'Fixes':<28}{outcome.fixes_accepted:,} accepted, {outcome.fixes_rejected:,} rejected",
        f"{'Visits':<28}{outcome.visits:,}",
        "",
        *_columns(rows),
        "",
        *(f"Incremental visits, {each.name}: {each.effect()}." for each in outcome.campaigns),
        f"Refused elsewhere, then came within 30 min: {contest.arrived_soon}.",
        f"Refused because: {_words(_add_reasons(outcome.campaigns))}.",
        f"At the tills: {_words(outcome.scans)}.",
        "",
        f"Visits, all phones:           {_score_in_words(truth.everybody)}.",
        f"Visits, noise up to {QUIET_M:.0f} m:    {_score_in_words(truth.quiet)}.",
        f"Cheats: {truth.cheats} visits believed; their unlocks: {_words(outcome.cheats_answered)}.",
        "",
        f"Slowest answer {outcome.slowest_answer_s:.2f} s; the simulation was at most {outcome.max_lag_s:.0f} shown"
        f" seconds ({outcome.max_lag_s / outcome.rate:.2f} s) behind its clock.",
    ]
    return "\n".join(lines)


def _each(outcome: Outcome, field: str) -> list[str]:
    return [f"{getattr(campaign, field):,}" for campaign in outcome.campaigns]


def _columns(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    widths = [max(len(cells[column]) for _, cells in rows) for column in range(len(rows[0][1]))]
    return [
        f"{title:<28}" + "   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for title, cells in rows
    ]


def _score_in_words(score: Score) -> str:
    return (
        f"{score.right} right ({score.right_share:.1%}), {score.missed} missed, "
        f"{score.invented} invented ({score.invented_share:.1%})"
    )


def _add_reasons(campaigns: Sequence[CampaignOutcome]) -> Mapping[str, int]:
    reasons: dict[str, int] = {}
    for campaign in campaigns:
        for reason, count in campaign.refused_for.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return reasons


# Answers without a code of their own.
ANSWERS = {"201": "taken", "200": "asked again"}


def _words(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{ANSWERS.get(name, name).replace('_', ' ')} {count}" for name, count in ordered) or "nothing"
