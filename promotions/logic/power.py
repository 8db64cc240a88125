"""Statistical power of a holdout, before a campaign starts: the smallest rise that differs from chance."""

import math

# Two-sided 5 % significance and 80 % power, the usual pair.
Z_SIGNIFICANCE = 1.959964
Z_POWER = 0.841621
# About 5 of 100 phones near a sandwich shop visit it without a message; used until visits are measured.
BASE_RATE = 0.05
_HALVINGS = 40


def find_smallest_rise(*, treated: int, control: int, base_rate: float) -> float | None:
    """Return the smallest rise over `base_rate` that two arms of these sizes show, None if they show none.

    Shapes:  scalars
    Units:   arms in phones; rates as shares of 1
    Errors:  ValueError unless 0 < base_rate < 1
    Source:  Fleiss, Levin, Paik, Statistical Methods for Rates and Proportions, 3rd ed., section 4.2, without the
             continuity correction; 900 against 100 phones at 5 % show a rise of about 9 points
    """
    if not 0 < base_rate < 1:
        raise ValueError(f"base_rate must be between 0 and 1, not {base_rate}")
    if treated < 1 or control < 1:
        return None
    low, high = 0.0, 1 - base_rate
    if not _is_shown(high, treated, control, base_rate):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _is_shown(middle, treated, control, base_rate):
            high = middle
        else:
            low = middle
    return high


def _is_shown(rise: float, treated: int, control: int, base_rate: float) -> bool:
    raised = base_rate + rise
    pooled = (treated * raised + control * base_rate) / (treated + control)
    by_chance = Z_SIGNIFICANCE * math.sqrt(pooled * (1 - pooled) * (1 / treated + 1 / control))
    to_be_seen = Z_POWER * math.sqrt(raised * (1 - raised) / treated + base_rate * (1 - base_rate) / control)
    return rise >= by_chance + to_be_seen


def describe_proof(*, phones_per_week: int, holdout_percent: int, days: int) -> str:
    """Describe the cost and the power of a holdout in one sentence for the campaign's page."""
    phones = max(1, round(phones_per_week * days / 7))
    if holdout_percent == 0:
        return "No holdout: every phone gets the message, and the effect of the message cannot be measured."
    control = round(phones * holdout_percent / 100)
    setting = (
        f"With about {phones_per_week:,} phones a week for {_spell_days(days)} and {holdout_percent} % held out, "
        f"about {control:,} phones get no message (they can still find and redeem the offer)"
    )
    rise = find_smallest_rise(treated=phones - control, control=control, base_rate=BASE_RATE)
    if rise is None:
        return f"{setting}. That is too few to detect any rise over {_percent(BASE_RATE)}."
    return f"{setting}. A rise from {_percent(BASE_RATE)} to {_percent(BASE_RATE + rise)} can be detected."


def _spell_days(days: int) -> str:
    if days % 7 == 0:
        return "1 week" if days == 7 else f"{days // 7} weeks"
    return "1 day" if days == 1 else f"{days} days"


def _percent(share: float) -> str:
    return f"{share * 100:.1f}".rstrip("0").rstrip(".") + " %"
