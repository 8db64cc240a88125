"""The results of the day: the table for people, the file for programs, and the checks of the demo."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promotions.logic.lift import MIN_CONVERSIONS
from promotions.simulation.truth import Score

# A line never wraps in a terminal of 80 columns.
COLUMNS = 79

# Targets of the server.
RIGHT_AT_LEAST = 0.97
INVENTED_AT_MOST = 0.01
QUIET_M = 20.0


@dataclass(frozen=True, slots=True)
class Share:
    """A count, its total, and the 95 % interval of the share."""

    part: int
    whole: int
    low: float
    high: float

    def __str__(self) -> str:
        if not self.whole:
            return "no one"
        return (
            f"{self.part} of {self.whole} ({self.part / self.whole:.0%}, 95% range {self.low:.0%} to {self.high:.0%})"
        )


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
    # Unlocks by the label of their outcome, if the campaign's kind has several.
    outcomes: Mapping[str, int]
    redemptions: int
    treated_visits: Share
    control_visits: Share
    incremental: tuple[float, float, float] | None
    verdict: str
    reason: str

    def effect(self) -> str:
        """Return the effect of the message, the verdict first, then its figures. Both always agree."""
        if self.reason == "sample_ratio_mismatch":
            return "not evaluated. The two groups are not of the planned sizes, so their visits cannot be compared."
        if self.incremental is None:
            return "not measured. One of the two groups is empty, so there is nothing to compare with."
        estimate, low, high = (_spell_visits(each) for each in self.incremental)
        if self.reason == "too_few_conversions":
            few, group = min(
                (self.control_visits.part, "held-out phones"), (self.treated_visits.part, "messaged phones")
            )
            return (
                f"not evaluated yet. Only {few} {group} visited, and a verdict needs {MIN_CONVERSIONS} in each group:"
                f" with fewer, a handful of people decides. Until then {estimate} visits (95% range {low} to {high}) is"
                " a first estimate and proves nothing."
            )
        measured = f"{estimate} visits; with 95% confidence between {low} and {high}"
        if self.reason == "interval_above_zero":
            return f"proven, the message brought visits. {measured}, all of it above 0."
        if self.reason == "interval_below_zero":
            return f"proven, the message cost visits. {measured}, all of it below 0."
        return f"not proven. {measured}: 0 lies in this range, so chance alone may explain the difference."


def _spell_visits(visits: float) -> str:
    """Format whole visits with their sign; below one visit a decimal, so that a limit just off 0 does not read as 0."""
    text = f"{visits:+.0f}" if abs(visits) >= 0.95 else f"{visits:+.1f}"
    return "0" if text in {"+0.0", "-0.0"} else text


@dataclass(frozen=True, slots=True)
class Truth:
    """The server's visits against the true stays; `cheats` are accepted visits of cheating phones.

    `mistakes`: each stay missed and each visit invented, in words.
    """

    everyone: Score
    quiet: Score
    cheats: int
    doubtful: int
    mistakes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class DayReport:
    """All results of one run."""

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
    """Return how the server's visits fall short of the targets."""
    faults = []
    if truth.everyone.right_share < RIGHT_AT_LEAST:
        faults.append(f"only {truth.everyone.right_share:.1%} of the real visits were found")
    if truth.quiet.invented_share > INVENTED_AT_MOST:
        faults.append(f"{truth.quiet.invented_share:.1%} of the visits of phones with little noise were invented")
    if truth.doubtful:
        faults.append(f"the simulation made {truth.doubtful} stays that no rule could decide")
    return faults


def as_json(outcome: DayReport) -> dict[str, Any]:
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
            "all_phones": _score_as_json(outcome.truth.everyone),
            "phones_up_to_20_m_noise": _score_as_json(outcome.truth.quiet),
            "visits_of_cheats_believed": outcome.truth.cheats,
            "mistakes": list(outcome.truth.mistakes),
        },
        "funnel": [
            {
                "step": row.name.strip(),
                "total": row.total,
                "by_campaign": list(row.counts),
                "share": row.share,
                "of": row.of_name or None,
            }
            for row in find_funnel(outcome.campaigns)
        ],
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


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """One step of the funnel: a total, its parts by campaign, and the total it is a share of."""

    name: str
    counts: Sequence[int]
    of: "FunnelRow | None" = None
    of_name: str = ""
    remark: str = ""

    @property
    def total(self) -> int:
        """The sum over the campaigns."""
        return sum(self.counts)

    @property
    def share(self) -> float | None:
        """This total as a share of the other row's; None without one."""
        return self.total / self.of.total if self.of is not None and self.of.total else None

    def explain(self) -> str:
        """Return the share with its base in words."""
        return self.remark if self.share is None else f"{self.share:.0%} of {self.of_name}"


def find_funnel(campaigns: Sequence[CampaignOutcome]) -> list[FunnelRow]:
    """Return the steps from a phone at a store to the till, each once."""

    def row(name: str, read: Callable[[CampaignOutcome], int], **more: Any) -> FunnelRow:
        return FunnelRow(name, [read(each) for each in campaigns], **more)

    near = row("Opportunities", lambda each: each.treated + each.control, remark="a phone near, in time")
    treated = row("  message group", lambda each: each.treated, of=near, of_name="opportunities")
    control = row("  held-out group", lambda each: each.control, of=near, of_name="opportunities")
    unlocked = row("Unlocked", lambda each: each.unlocks, remark="by any phone there")
    return [
        near,
        treated,
        control,
        row("Messages sent", lambda each: each.messages_sent, of=treated, of_name="message group"),
        row("Visited, messaged", lambda each: each.treated_visits.part, of=treated, of_name="message group"),
        row("Visited, held out", lambda each: each.control_visits.part, of=control, of_name="held-out group"),
        unlocked,
        *(
            row(f"  {label}", _count_outcome(label), of=unlocked, of_name="unlocked")
            for label in dict.fromkeys(label for each in campaigns for label in each.outcomes)
        ),
        row("Redeemed at a till", lambda each: each.redemptions, of=unlocked, of_name="unlocked"),
    ]


def _count_outcome(label: str) -> Callable[[CampaignOutcome], int]:
    return lambda campaign: campaign.outcomes.get(label, 0)


def as_table(outcome: DayReport) -> str:
    """The funnel as people read it, no line wider than `COLUMNS`."""
    contest, truth = outcome.contest, outcome.truth
    refused = sum(each.refusals for each in outcome.campaigns)
    paragraphs = [
        f"{outcome.phones} phones on {outcome.shown_on}, {outcome.rate:g} times faster, in {outcome.real_s:.0f} s.",
        f"Fixes: {outcome.fixes_accepted:,} accepted, {outcome.fixes_rejected:,} rejected. Visits: {outcome.visits:,}.",
        "",
        *_align(find_funnel(outcome.campaigns), [each.name for each in outcome.campaigns]),
        "Visited: within 2 h of the message or, held out, of the time at which it would be sent.",
        "",
        "Visits that the messages caused",
        *(f"  {each.name}: {each.effect()}" for each in outcome.campaigns),
        "",
        f"Refused unlocks: {refused} ({_words(_add_reasons(outcome.campaigns))}).",
        f"Refused for not being at a store, then there within 30 min: {contest.arrived_soon}.",
        f"Answers at the tills: {sum(outcome.scans.values())} ({_words(outcome.scans)}).",
        "",
        "Checked against where the phones really were",
        f"  Visits of all phones: {_score_in_words(truth.everyone)}.",
        f"  Of phones with up to {QUIET_M:.0f} m of noise: {_score_in_words(truth.quiet)}.",
        f"  Cheats: {truth.cheats} visits believed; their unlocks: {_words(outcome.cheats_answered)}.",
        f"  Slowest answer {outcome.slowest_answer_s:.2f} s; the simulation was at most {outcome.max_lag_s:.0f} shown"
        f" seconds ({outcome.max_lag_s / outcome.rate:.2f} s) behind its clock.",
    ]
    return "\n".join(line for paragraph in paragraphs for line in _wrap(paragraph))


def _wrap(paragraph: str) -> list[str]:
    """Lines that fit; those that continue stand further in."""
    if len(paragraph) <= COLUMNS:
        return [paragraph]
    indent = " " * (len(paragraph) - len(paragraph.lstrip()))
    return textwrap.wrap(
        paragraph.strip(), COLUMNS, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )


def _align(rows: Sequence[FunnelRow], names: Sequence[str]) -> list[str]:
    cells = [["Total", *names], *([f"{count:,}" for count in (row.total, *row.counts)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    titles = ["The funnel", *(row.name for row in rows)]
    shares = ["Share", *(row.explain() for row in rows)]
    room = max(map(len, titles))
    return [
        "  ".join([title.ljust(room), *map(str.rjust, line, widths), share]).rstrip()
        for title, line, share in zip(titles, cells, shares, strict=True)
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
ANSWERS = {"201": "redeemed", "200": "repeated", "dry_run": "looked up only", "void": "voided"}


def _words(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{ANSWERS.get(name, name).replace('_', ' ')} {count}" for name, count in ordered) or "nothing"
