"""The campaign's form: weekdays as checkboxes, assurance levels in words, faults at their fields."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.forms.models import BaseInlineFormSet
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from promotions.admin.faults import add_faults
from promotions.errors import Fault
from promotions.logic.campaign_rules import EVERY_DAY, MAX_NOTIFY_LEVEL, CampaignValues, Hours, find_hours_faults
from promotions.models import Campaign, TimeWindow
from promotions.services.campaigns.editing import FIELDS, find_faults

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Fields of a line that are not its values.
_KEYS = frozenset({"id", "DELETE"})

_LEVELS = (
    (0, "0: claimed by the phone"),
    (1, "1: plausible"),
    (2, "2: sustained, the phone stayed a while"),
    (3, "3: attested by the phone's platform (not available yet, counts as 4)"),
    (4, "4: co-present, seen by the store"),
)


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
        given = super().clean() or {}
        hours = self.read_hours()
        if hours is not None:
            add_faults(self, find_hours_faults(hours))
        return given

    def read_hours(self) -> Hours | None:
        """Return the line's hours, or None if a part of them could not be read."""
        given: dict[str, Any] = {name: self.cleaned_data.get(name) for name in Hours._fields}
        return None if None in given.values() else Hours(**given)


def read_inlines(formsets: Iterable[BaseInlineFormSet[Any, Campaign, Any]], rows: Collection[str]) -> CampaignValues:
    """Return the lines of the page: hours, and the rows that the chosen kind has. The page hides those of others."""
    values: CampaignValues = {}
    kept: dict[str, list[dict[str, Any]]] = {}
    for formset in formsets:
        lines = [
            {name: line.cleaned_data.get(name) for name in line.fields if name not in _KEYS | {formset.fk.name}}
            for line in formset.forms
            if line not in formset.deleted_forms and (line.has_changed() or line in formset.initial_forms)
        ]
        if formset.model is TimeWindow:
            values["windows"] = [Hours(**line) for line in lines]
        elif formset.get_default_prefix() in rows:
            kept[formset.get_default_prefix()] = lines
    return {**values, "rows": kept}


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
    # The version of the campaign that this page shows.
    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    unlock_level = LevelField(label="Unlock at level", initial=1)
    redeem_level = LevelField(label="Redeem at level", initial=0)

    # Faults of the whole page, with which the service rejected it.
    rejected: ClassVar[Sequence[Fault]] = ()

    class Meta:
        model = Campaign
        # Django requires a list here; the page's fieldsets decide which fields are shown.
        fields = ["name"]
        widgets = {
            "message_body": UnfoldAdminTextareaWidget({"rows": 2, "maxlength": 240}),
            "terms": UnfoldAdminTextareaWidget({"rows": 3}),
            "segments": UnfoldAdminTextInputWidget,
        }
        labels: ClassVar[dict[str, str]] = {"is_flash": "Many phones at once"}
        help_texts: ClassVar[dict[str, str]] = {
            "is_flash": "For a rush, such as an announced moment: unlocks do not wait for each other. Requires a cap.",
            "segments": "Only devices in one of these segments get the offer. Separate codes by commas, such as "
            "gold-card, staff. Empty: all devices.",
            "message_body": "Can contain {store}, {brand}, {offer} and {until}: the time at which the offer closes at "
            "that store (the end of the hours below, or closing time if that comes first).",
        }

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.fields["seen_version"].initial = self.instance.version

    def clean(self) -> dict[str, Any]:
        """Show every fault that `services/campaigns/editing.py` finds. The row lock keeps the answer until the save."""
        given = super().clean() or {}
        faults = find_faults(
            campaign_id=self.instance.pk,
            changes=self.read_values(),
            seen_version=self.read_seen_version(),
            unreadable=set(self.errors),
        )
        add_faults(self, self.rejected or faults)
        return given

    def read_values(self) -> CampaignValues:
        """Return the fields that the page shows and that could be read."""
        values = {name: value for name, value in self.cleaned_data.items() if name in FIELDS}
        if "brand" in values:
            values["brand"] = values["brand"].pk
        if "stores" in values:
            values["stores"] = [store.pk for store in values["stores"]]
        return cast(CampaignValues, values)

    def read_seen_version(self) -> int:
        """Return the version that the page was built from. A page without one has seen none."""
        return self.cleaned_data.get("seen_version") or 0
