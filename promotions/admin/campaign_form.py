"""The campaign's form: weekdays as checkboxes, assurance levels in words, rules that span several fields."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSingleTimeWidget, UnfoldAdminTextareaWidget

from notifications.logic.rendering import Template, find_template_faults
from promotions.logic.schedule import MIDNIGHT
from promotions.models import Campaign, TimeWindow
from promotions.services.campaigns.budgets import find_cap_faults, lock_exclusively

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY = 127
CAPS = ("unlock_cap", "redeem_cap", "store_redeem_cap")


_LEVELS = (
    (0, "0: claimed by the phone"),
    (1, "1: plausible"),
    (2, "2: sustained, the phone stayed a while"),
    (3, "3: attested by the phone's platform (not available yet, counts as 4)"),
    (4, "4: co-present, seen by the store"),
)
# A fix that crosses a fence cannot reach a higher level, so no message would ever be sent.
MAX_NOTIFY_LEVEL = 2


class WeekdaysWidget(forms.CheckboxSelectMultiple):
    """Seven checkboxes in a row, Monday first."""

    template_name = "admin/promotions/weekdays.html"

    def format_value(self, value: Any) -> list[str]:
        """Convert a bit mask to checked days; leave posted days as they are."""
        if isinstance(value, int):
            return [str(day) for day in range(7) if value >> day & 1]
        return [str(day) for day in value or []]


class WeekdaysField(forms.MultipleChoiceField):
    """Weekdays, stored as a bit mask; Monday is bit 0."""

    widget = WeekdaysWidget

    def __init__(self, **given: Any) -> None:
        super().__init__(choices=[(str(day), name) for day, name in enumerate(WEEKDAYS)], **given)

    def clean(self, value: Any) -> Any:
        """Return the bit mask; at least one day is required."""
        return sum(1 << int(day) for day in set(super().clean(value)))

    def has_changed(self, initial: Any, data: Any) -> bool:
        if self.disabled:
            return False
        posted = {str(day) for day in data or []}
        before = EVERY_DAY if initial is None else initial
        return posted != {str(day) for day in range(7) if before >> day & 1}


class TimeWindowForm(forms.ModelForm[TimeWindow]):
    weekdays = WeekdaysField(initial=EVERY_DAY)

    class Meta:
        model = TimeWindow
        fields = ["weekdays", "starts_at", "ends_at"]
        widgets = {
            "starts_at": UnfoldAdminSingleTimeWidget(format="%H:%M"),
            "ends_at": UnfoldAdminSingleTimeWidget(format="%H:%M"),
        }

    def clean(self) -> dict[str, Any]:
        """Reject equal start and end, except 00:00 twice, which means the whole day."""
        given = super().clean() or {}
        starts_at, ends_at = given.get("starts_at"), given.get("ends_at")
        if starts_at is not None and starts_at == ends_at != MIDNIGHT:
            self.add_error(
                "ends_at",
                "The hours end at the minute they start. Enter a later end, an earlier end for hours past midnight, "
                "or 00:00 in both fields for the whole day.",
            )
        return given


class LevelField(forms.TypedChoiceField):
    """An assurance level, with its meaning in words."""

    widget = UnfoldAdminSelectWidget

    def __init__(self, highest: int = 4, **given: Any) -> None:
        super().__init__(choices=[level for level in _LEVELS if level[0] <= highest], coerce=int, **given)


class CampaignForm(forms.ModelForm[Campaign]):
    notify_level = LevelField(
        MAX_NOTIFY_LEVEL,
        label="Message at level",
        initial=0,
        help_text="How certain it must be that the phone is there.",
    )
    unlock_level = LevelField(label="Unlock at level", initial=1)
    redeem_level = LevelField(label="Redeem at level", initial=0)

    class Meta:
        model = Campaign
        # Django requires a list here; the page's fieldsets decide which fields are shown.
        fields = ["name"]
        widgets = {
            "message_body": UnfoldAdminTextareaWidget({"rows": 2, "maxlength": 240}),
            "terms": UnfoldAdminTextareaWidget({"rows": 3}),
        }
        labels: ClassVar[dict[str, str]] = {"is_flash": "Many phones at once"}
        help_texts: ClassVar[dict[str, str]] = {
            "is_flash": "For a rush, such as an announced moment: unlocks do not wait for each other. Requires a cap.",
            "message_body": "Can contain {store}, {brand}, {offer} and {until}: the time at which the offer closes at "
            "that store (the end of the hours below, or closing time if that comes first).",
        }

    def clean(self) -> dict[str, Any]:
        """Check the rules that span two fields: dates, message, till options and caps."""
        given = super().clean() or {}
        starts_on, ends_on = given.get("starts_on"), given.get("ends_on")
        if starts_on and ends_on and ends_on < starts_on:
            self.add_error("ends_on", "The last day is before the first day. Enter a later date.")
        if given.get("is_flash") and not given.get("unlock_cap") and "unlock_cap" not in self.errors:
            self.add_error("unlock_cap", "“Many phones at once” requires a cap. Enter one.")
        self._clean_offline(given)
        self._clean_message(given)
        self._clean_caps(given)
        return given

    def _clean_offline(self, given: dict[str, Any]) -> None:
        """An offline till can check neither presence nor hours, and what it gives away counts against its allowance."""
        if not given.get("allows_offline"):
            return
        value, most = given.get("value"), settings.OFFLINE_MAX_COUPON_VALUE
        if value is None and "value" not in self.errors:
            self.add_error("value", "Enter what one use costs you: it counts against a till's offline allowance.")
        elif value is not None and value > most:
            self.add_error("value", f"An offline till accepts no coupon worth more than {most} per use.")
        if given.get("redeem_level"):
            self.add_error(
                "redeem_level", "An offline till cannot check presence. Choose level 0 or disallow offline use."
            )
        if given.get("redeems_in_hours"):
            self.add_error("redeems_in_hours", "An offline till cannot check hours. Choose only one of the two.")

    def _clean_caps(self, given: dict[str, Any]) -> None:
        """Reject a cap below what an open campaign has used. The row lock keeps the count until the form is saved."""
        caps = {name: given[name] for name in CAPS if name in given}
        if not caps or self.instance.state not in {Campaign.State.LIVE, Campaign.State.PAUSED}:
            return
        campaign = lock_exclusively(self.instance.pk)
        for name, cap in caps.items():
            setattr(campaign, name, cap)
        for fault in find_cap_faults(campaign):
            name = fault.pointer.removeprefix("/")
            if name in self.fields and name not in self.errors:
                self.add_error(name, fault.detail)

    def _clean_message(self, given: dict[str, Any]) -> None:
        title, body = given.get("message_title", ""), given.get("message_body", "")
        # No message: customers find the offer in the app.
        if not title and not body:
            return
        for fault in find_template_faults(Template(title=title, body=body)):
            name = f"message_{fault.field}"
            if name in self.fields and name not in self.errors:
                self.add_error(name, f"{fault.detail[0].upper()}{fault.detail[1:]}.")
