"""A line on a campaign's page about its unlocks of the last hour, with a button that pauses the campaign."""

from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from promotions import clock
from promotions.models import Campaign
from promotions.services.unlocks.network_budgets import RecentUnlocks, count_recent_unlocks

# Counts of devices below this are not shown to a brand, and larger ones in steps.
SMALLEST_CELL, STEP = 10, 5
# Above this share of new installations the line is a warning.
MANY_PERCENT = 50


def render_recent_unlocks(campaign: Campaign, *, may_pause: bool) -> SafeString:
    """Render the line for an open campaign, or a dash."""
    if campaign.state not in {Campaign.State.LIVE, Campaign.State.PAUSED}:
        return SafeString("–")
    # The page's template asks for a field several times.
    counts: Any = campaign.__dict__.get("_recent_unlocks")
    if counts is None:
        counts = campaign.__dict__["_recent_unlocks"] = count_recent_unlocks(campaign_id=campaign.pk, now=clock.now())
    return render_to_string(
        "admin/promotions/recent_unlocks.html",
        {
            "sentences": describe_unlocks(counts),
            "is_burst": is_burst(counts),
            "pause_url": reverse("admin:promotions_campaign_pause", args=[campaign.pk]) if may_pause else None,
        },
    )


def is_burst(counts: RecentUnlocks) -> bool:
    """Return whether new installations make an unusual share of the unlocks."""
    return counts.new >= SMALLEST_CELL and counts.new * 100 >= MANY_PERCENT * counts.total


def describe_unlocks(counts: RecentUnlocks) -> list[str]:
    """Return one sentence per figure; small counts stay hidden."""
    if counts.total < SMALLEST_CELL:
        return [_("Fewer than 10 unlocks in the last hour.")]
    sentences = [_("About %(count)s unlocks in the last hour.") % {"count": _format(counts.total)}]
    if counts.new < SMALLEST_CELL:
        return [*sentences, _("Fewer than 10 by installations under ten minutes old.")]
    values = {"count": _format(counts.new), "percent": round(10 * counts.new / counts.total) * 10}
    sentences.append(_("About %(count)s (%(percent)s %%) by installations under ten minutes old.") % values)
    if counts.from_one_network >= SMALLEST_CELL:
        values = {"count": _format(counts.from_one_network)}
        sentences.append(_("About %(count)s of these came from one network within an hour.") % values)
    return sentences


def _format(count: int) -> str:
    return f"{count - count % STEP:,}"
