"""What a holdout can prove, before a campaign begins: the smallest rise that would stand out from chance."""

import math

# Two-sided 5 % significance and 80 % power, the usual pair.
Z_SIGNIFICANCE = 1.959964
Z_POWER = 0.841621
# Of a hundred phones near a sandwich shop some five come in anyway; used where nothing is measured yet.
BASE_RATE = 0.05
_HALVINGS = 40


def find_smallest_rise(*, treated: int, control: int, base_rate: float) -> float | None:
    """The smallest rise over `base_rate` that two arms of these sizes show; None where no rise would do.

    Shapes:  scalars
    Units:   arms in phones; rates as shares of 1
    Errors:  ValueError unless 0 < base_rate < 1
    Source:  Fleiss, Levin, Paik, Statistical Methods for Rates and Proportions, 3rd ed., section 4.2, without the
             continuity correction; 900 against 100 phones at 5 % show a rise of about 9 points
    """
    if not 0 < base_rate < 1:
        raise ValueError(f"base_rate must lie between 0 and 1, not {base_rate}")
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
    """What a holdout of this share costs and can prove, in a sentence for whoever sets up the campaign."""
    phones = max(1, round(phones_per_week * days / 7))
    if holdout_percent == 0:
        return "Nobody is held out: every phone gets the message, and what the message causes cannot be shown."
    control = round(phones * holdout_percent / 100)
    setting = (
        f"With about {phones_per_week:,} phones a week for {_spell_days(days)} and {holdout_percent} % held out, "
        f"some {control:,} phones get no message (they can still find and redeem the offer)"
    )
    rise = find_smallest_rise(treated=phones - control, control=control, base_rate=BASE_RATE)
    if rise is None:
        return f"{setting}; that is too few to show any rise over {_percent(BASE_RATE)}."
    return f"{setting}; a rise from {_percent(BASE_RATE)} to {_percent(BASE_RATE + rise)} can be shown."


def _spell_days(days: int) -> str:
    if days % 7 == 0:
        return "1 week" if days == 7 else f"{days // 7} weeks"
    return "1 day" if days == 1 else f"{days} days"


def _percent(share: float) -> str:
    return f"{share * 100:.1f}".rstrip("0").rstrip(".") + " %"
