"""The campaign's form: weekdays as boxes, the message with its preview, the holdout with what it can prove."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSingleTimeWidget, UnfoldAdminTextareaWidget

from notifications.logic.rendering import Template, find_template_faults
from promotions.logic.schedule import MIDNIGHT
from promotions.models import Campaign, TimeWindow
from promotions.services.campaigns.budgets import find_cap_faults, hold_alone

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY = 127
CAPS = ("unlock_cap", "redeem_cap", "store_redeem_cap")


_LEVELS = (
    (0, "0: the phone says so"),
    (1, "1: plausible"),
    (2, "2: stayed a while"),
    (3, "3: attested by its platform (to come; until then as 4)"),
    (4, "4: seen by the store"),
)
# A fix that crosses a fence cannot show more: no message would ever go.
MAX_NOTIFY_LEVEL = 2


class WeekdaysWidget(forms.CheckboxSelectMultiple):
    """Seven boxes in a row, Monday first."""

    template_name = "admin/promotions/weekdays.html"

    def format_value(self, value: Any) -> list[str]:
        """The bits of a mask as boxes; what was posted stays as it is."""
        if isinstance(value, int):
            return [str(day) for day in range(7) if value >> day & 1]
        return [str(day) for day in value or []]


class WeekdaysField(forms.MultipleChoiceField):
    """Weekdays as the bit mask that is stored: Monday is bit 0."""

    widget = WeekdaysWidget

    def __init__(self, **given: Any) -> None:
        super().__init__(choices=[(str(day), name) for day, name in enumerate(WEEKDAYS)], **given)

    def clean(self, value: Any) -> Any:
        """The mask; at least one day."""
        return sum(1 << int(day) for day in set(super().clean(value)))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compares masks."""
        if self.disabled:
            return False
        posted = {str(day) for day in data or []}
        before = EVERY_DAY if initial is None else initial
        return posted != {str(day) for day in range(7) if before >> day & 1}


class TimeWindowForm(forms.ModelForm[TimeWindow]):
    """Hours of some weekdays."""

    weekdays = WeekdaysField(initial=EVERY_DAY)

    class Meta:
        model = TimeWindow
        fields = ["weekdays", "starts_at", "ends_at"]
        widgets = {
            "starts_at": UnfoldAdminSingleTimeWidget(format="%H:%M"),
            "ends_at": UnfoldAdminSingleTimeWidget(format="%H:%M"),
        }

    def clean(self) -> dict[str, Any]:
        """Hours that end as they begin: 00:00 twice is the whole day; anything else is a slip that would mean it."""
        given = super().clean() or {}
        starts_at, ends_at = given.get("starts_at"), given.get("ends_at")
        if starts_at is not None and starts_at == ends_at != MIDNIGHT:
            self.add_error(
                "ends_at",
                "These hours end at the minute they begin. Enter a later end, an earlier one for hours past midnight, "
                "or 00:00 in both for the whole day.",
            )
        return given


class LevelField(forms.TypedChoiceField):
    """How sure we must be that the phone is there, in words."""

    widget = UnfoldAdminSelectWidget

    def __init__(self, highest: int = 4, **given: Any) -> None:
        super().__init__(choices=[level for level in _LEVELS if level[0] <= highest], coerce=int, **given)


class CampaignForm(forms.ModelForm[Campaign]):
    """A campaign on one page."""

    notify_level = LevelField(
        MAX_NOTIFY_LEVEL, label="Message at level", initial=0, help_text="How sure we must be that the phone is there."
    )
    unlock_level = LevelField(label="Unlock at level", initial=1)
    redeem_level = LevelField(label="Redeem at level", initial=0)

    class Meta:
        model = Campaign
        # The page's fieldsets say which; a form needs some.
        fields = ["name"]
        widgets = {
            "message_body": UnfoldAdminTextareaWidget({"rows": 2, "maxlength": 240}),
            "terms": UnfoldAdminTextareaWidget({"rows": 3}),
        }
        labels: ClassVar[dict[str, str]] = {"is_flash": "Many phones at once"}
        help_texts: ClassVar[dict[str, str]] = {
            "is_flash": "For a rush, such as a moment told to all: unlocks do not wait for each other. Needs a cap.",
            "message_body": "May contain {store}, {brand}, {offer} and {until}, when the offer closes at that store: "
            "the end of the hours below, or closing time if that comes first.",
        }

    def clean(self) -> dict[str, Any]:
        """What spans two fields: dates, the text of the message, and a flash cap."""
        given = super().clean() or {}
        starts_on, ends_on = given.get("starts_on"), given.get("ends_on")
        if starts_on and ends_on and ends_on < starts_on:
            self.add_error("ends_on", "The last day lies before the first.")
        if given.get("is_flash") and not given.get("unlock_cap") and "unlock_cap" not in self.errors:
            self.add_error("unlock_cap", "Many phones at once share a cap, so one is needed.")
        self._clean_offline(given)
        self._clean_message(given)
        self._clean_caps(given)
        return given

    def _clean_offline(self, given: dict[str, Any]) -> None:
        """A till without network gives away what has a price, within a limit, to whoever stands there."""
        if not given.get("allows_offline"):
            return
        value, most = given.get("value"), settings.OFFLINE_MAX_COUPON_VALUE
        if value is None and "value" not in self.errors:
            self.add_error("value", "Say what one use costs you: it counts against a till's allowance without network.")
        elif value is not None and value > most:
            self.add_error("value", f"Worth more than {most}, a coupon is never taken without network.")
        if given.get("redeem_level"):
            self.add_error("redeem_level", "Without network no presence can be proven: this must be 0 then.")
        if given.get("redeems_in_hours"):
            self.add_error("redeems_in_hours", "A till without network cannot judge hours: choose one of the two.")

    def _clean_caps(self, given: dict[str, Any]) -> None:
        """Of an opened campaign: not below what is used, and nobody uses more until this is saved."""
        caps = {name: given[name] for name in CAPS if name in given}
        if not caps or self.instance.state not in {Campaign.State.LIVE, Campaign.State.PAUSED}:
            return
        campaign = hold_alone(self.instance.pk)
        for name, cap in caps.items():
            setattr(campaign, name, cap)
        for fault in find_cap_faults(campaign):
            name = fault.pointer.removeprefix("/")
            if name in self.fields and name not in self.errors:
                self.add_error(name, fault.detail)

    def _clean_message(self, given: dict[str, Any]) -> None:
        title, body = given.get("message_title", ""), given.get("message_body", "")
        # Both empty: no message, the offer is found in the app.
        if not title and not body:
            return
        for fault in find_template_faults(Template(title=title, body=body)):
            name = f"message_{fault.field}"
            if name in self.fields and name not in self.errors:
                self.add_error(name, f"{fault.detail[0].upper()}{fault.detail[1:]}.")
