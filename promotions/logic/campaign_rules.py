"""A campaign's fields as values, and every rule about them. `services/campaigns/editing.py` applies the rules."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

from notifications.logic.rendering import PLACEHOLDER_LIMIT_BYTES, Template, find_template_faults
from promotions.errors import Fault
from promotions.errors import gettext_noop as _
from promotions.logic.schedule import MIDNIGHT
from promotions.logic.segments import find_segment_faults

ENDED = "ended"
# All seven weekdays.
EVERY_DAY = 127
OPENED = frozenset({"live", "paused"})
# A fix that crosses a fence shows level 2 at most. A campaign with a higher notify level never sends a message.
MAX_NOTIFY_LEVEL = 2
# A change of these in an opened campaign would mix the arms, or contradict the slots that are counted already.
FROZEN_WHEN_OPENED = frozenset({"brand", "kind", "holdout_percent", "is_flash"})


class Hours(NamedTuple):
    """A time window. Monday is bit 0 of `weekdays`."""

    weekdays: int
    starts_at: time
    ends_at: time


class CampaignValues(TypedDict, total=False):
    """Fields of a campaign by name. An edit contains only the fields that change.

    `brand` and `stores` are primary keys. `windows` replaces all windows of the campaign, and each list in `rows` all
    rows of that name: those that only some kinds of campaign have, such as prizes.
    """

    brand: int
    name: str
    kind: str
    stores: Collection[int]
    segments: Sequence[str]
    starts_on: date
    ends_on: date
    windows: Sequence[Hours]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    offer_title: str
    benefit: str
    terms: str
    units: int
    value: Decimal | None
    asks_amount: bool
    redeem_within_h: int
    redeems_in_hours: bool
    trigger: str
    message_title: str
    message_body: str
    message_life_s: int
    messages_per_device: int
    priority: int
    holdout_percent: int
    notify_level: int
    unlock_level: int
    redeem_level: int
    max_speed_mps: float
    allows_vouching: bool
    allows_offline: bool
    unlock_cap: int | None
    is_flash: bool
    redeem_cap: int | None
    store_redeem_cap: int | None


class Limits(NamedTuple):
    """Limits that the deployment's settings define."""

    max_offline_value: int


Rule = Callable[[CampaignValues, Limits], Iterator[Fault]]


def find_value_faults(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    """Yield every fault of a campaign's fields. A rule is silent about fields that are missing."""
    for rule in RULES:
        yield from rule(values, limits)


def find_state_faults(changed: Collection[str], state: str, frozen: Collection[str] = ()) -> Iterator[Fault]:
    """Yield a fault for each changed field that the state does not allow to change. `frozen`: those of the kind."""
    if state == ENDED and changed:
        yield Fault("/state", "ended", _("The campaign has ended and cannot be changed. Create a new one."))
    if state in OPENED:
        for name in sorted({*FROZEN_WHEN_OPENED, *frozen} & {*changed}):
            yield Fault(f"/{name}", "frozen", _("This cannot be changed after the campaign was opened."))


def _dates(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    starts_on, ends_on = values.get("starts_on"), values.get("ends_on")
    if starts_on and ends_on and ends_on < starts_on:
        yield Fault("/ends_on", "before_start", _("The last day is before the first day. Enter a later date."))


def _stores(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    if "stores" in values and not values["stores"]:
        yield Fault("/stores", "required", _("Choose at least one store."))


def find_hours_faults(hours: Hours, pointer: str = "") -> Iterator[Fault]:
    """Yield the faults of one time window. 00:00 to 00:00 is the whole day; other hours need a length."""
    if not 1 <= hours.weekdays <= 127:
        yield Fault(f"{pointer}/weekdays", "out_of_range", _("Choose at least one weekday."))
    if hours.starts_at == hours.ends_at != MIDNIGHT:
        yield Fault(
            f"{pointer}/ends_at",
            "no_length",
            _(
                "The hours end at the minute they start. Enter a later end, an earlier end for hours past midnight, "
                "or 00:00 in both fields for the whole day."
            ),
        )


def _windows(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    for index, hours in enumerate(values.get("windows", ())):
        yield from find_hours_faults(hours, f"/windows/{index}")


def _segments(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    yield from find_segment_faults(values.get("segments", ()), "/segments")


def _levels(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    if values.get("notify_level", 0) > MAX_NOTIFY_LEVEL:
        yield Fault(
            "/notify_level",
            "out_of_range",
            _("A phone that enters shows level {most} at most, so no message would be sent. Choose 0 to {most}."),
            {"most": MAX_NOTIFY_LEVEL},
        )


def _caps(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    caps = {"unlock_cap": values.get("unlock_cap"), "redeem_cap": values.get("redeem_cap")}
    for name, cap in {**caps, "store_redeem_cap": values.get("store_redeem_cap")}.items():
        if cap is not None and cap < 1:
            yield Fault(
                f"/{name}",
                "out_of_range",
                _("With a cap of 0 no device gets the offer. Leave the field empty for no limit."),
            )
    if values.get("is_flash") and "unlock_cap" in values and values["unlock_cap"] is None:
        yield Fault("/unlock_cap", "required", _("“Many phones at once” requires a cap. Enter one."))


def _offline(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    """An offline till cannot ask the server, so its loss is limited and its rules are the simple ones."""
    if not values.get("allows_offline"):
        return
    if "value" in values:
        yield from _offline_value(values["value"], limits.max_offline_value)
    if values.get("redeem_level"):
        yield Fault(
            "/redeem_level",
            "conflict",
            _("An offline till cannot check presence. Choose level 0 or disallow offline use."),
        )
    if values.get("redeems_in_hours"):
        yield Fault(
            "/redeems_in_hours",
            "conflict",
            _("An offline till cannot check hours. Choose only one of the two."),
        )


def _offline_value(value: Decimal | None, most: int) -> Iterator[Fault]:
    if value is None:
        yield Fault(
            "/value", "required", _("Enter what one use costs you: it counts against a till's offline allowance.")
        )
    elif value > most:
        yield Fault(
            "/value",
            "out_of_range",
            _("An offline till accepts no coupon worth more than {most} per use."),
            {"most": most},
        )


_MESSAGE_TEXTS: Mapping[str, str] = {
    "empty": _("A message needs a title and a body. Fill in both, or leave both empty for no message."),
    "unknown_placeholder": _("{found} is not a placeholder. Use {known}."),
    "stray_brace": _("There is a { or } that belongs to no placeholder. Remove it."),
    "unsendable_character": _("There is a character that phones cannot show. Remove it."),
    "too_long": _("The text may become {longest} bytes with the longest names. {most} are allowed: shorten it."),
}
KNOWN_PLACEHOLDERS = ", ".join(f"{{{name}}}" for name in PLACEHOLDER_LIMIT_BYTES)


def _message(values: CampaignValues, limits: Limits) -> Iterator[Fault]:
    if "message_title" not in values or "message_body" not in values:
        return
    template = Template(values["message_title"], values["message_body"])
    # Both empty: no message is sent, and the offer is found in the app.
    if not template.title and not template.body:
        return
    for fault in find_template_faults(template):
        known = {"known": KNOWN_PLACEHOLDERS} if fault.code == "unknown_placeholder" else {}
        yield Fault(f"/message_{fault.field}", fault.code, _MESSAGE_TEXTS[fault.code], {**known, **fault.values})


RULES: tuple[Rule, ...] = (_dates, _stores, _segments, _windows, _levels, _caps, _offline, _message)
