"""Create, change and delete campaigns, for all callers. `states.py` changes their states."""

import secrets
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Field, Model

from geofence.services.store_lookup import find_unknown_stores
from promotions.errors import DomainError, Fault, InvalidInput
from promotions.errors import gettext_noop as _
from promotions.logic.campaign_rules import (
    ENDED,
    OPENED,
    CampaignValues,
    Hours,
    Limits,
    find_state_faults,
    find_value_faults,
)
from promotions.models import Campaign, TimeWindow
from promotions.services.campaigns.budgets import find_cap_faults, fit_caps, lock_exclusively
from promotions.services.mechanics import list_rows, mechanic_of

FIELDS = frozenset(CampaignValues.__annotations__)
_RELATED = frozenset({"stores", "windows", "rows"})
# The other fields are columns of the campaign's own row.
_COLUMNS = FIELDS - _RELATED
# Codes of Django's validators in the product's words.
_CODES: Mapping[str, str] = {
    "null": "required",
    "blank": "required",
    "max_length": "wrong_length",
    "min_value": "out_of_range",
    "max_value": "out_of_range",
    "invalid_choice": "unknown_value",
    "invalid_text": "invalid_text",
    "not_finite": "not_finite",
}


@transaction.atomic
def create_campaign(*, values: CampaignValues, now: datetime) -> Campaign:
    """Create a draft with the salt that assigns devices to its arms. Errors: `invalid_input` with every fault."""
    campaign = Campaign(salt=secrets.token_hex(16), created_at=now)
    _require_none(_apply(campaign, values, ()))
    campaign.save(force_insert=True)
    _write_related(campaign, values, {*values, *values.get("rows", ())})
    return campaign


@transaction.atomic
def edit_campaign(
    *, campaign_id: int, changes: CampaignValues, now: datetime, seen_version: int | None = None
) -> Campaign:
    """Change a campaign and return it. An opened campaign follows at once; the same change again writes nothing.

    The row is locked first: an edit waits for an opening, a pause, an end or another edit, and is then checked
    against the new state. `seen_version` is the version that the editor has read; a newer one is a fault.
    Errors: `not_found`; `invalid_input` with every fault.
    """
    campaign = _lock(campaign_id)
    changed = _find_changed(campaign, changes)
    _require_none(_find_edit_faults(campaign, changes, seen_version, ()))
    if not changed:
        return campaign
    campaign.version += 1
    campaign.save(update_fields=[*(changed & _COLUMNS), "version"])
    _write_related(campaign, changes, changed)
    if campaign.state in OPENED:
        fit_caps(campaign_id=campaign.pk)
    return campaign


@transaction.atomic
def delete_draft(*, campaign_id: int) -> None:
    """Delete a campaign that was never opened. Errors: `not_found`; `invalid_input` for any other."""
    campaign = _lock(campaign_id)
    if campaign.state != Campaign.State.DRAFT:
        raise InvalidInput(
            [Fault("/state", "wrong_state", _("Only a draft can be deleted. End a campaign that is open."))]
        )
    campaign.delete()


def find_faults(
    *,
    campaign_id: int | None,
    changes: CampaignValues,
    seen_version: int | None = None,
    unreadable: Collection[str] = (),
) -> list[Fault]:
    """Return every fault of a new campaign (`campaign_id` None) or of an edit, and write nothing.

    `unreadable` are fields that a form could not read: no rule is applied to them. The campaign's row is locked, so
    the result stays true until the end of the transaction.
    """
    if campaign_id is None:
        return list(_apply(Campaign(), changes, unreadable))
    return list(_find_edit_faults(_lock(campaign_id), changes, seen_version, unreadable))


def read_values(campaign: Campaign) -> CampaignValues:
    """Return a campaign's fields as values."""
    values: dict[str, Any] = {name: getattr(campaign, _name_attribute(name)) for name in _COLUMNS}
    if campaign.pk is None:
        return cast(CampaignValues, {**values, "stores": (), "windows": (), "rows": {}})
    stores = campaign.stores.order_by("pk").values_list("pk", flat=True)
    windows = campaign.windows.order_by("pk").values_list("weekdays", "starts_at", "ends_at")
    return cast(
        CampaignValues,
        {
            **values,
            "stores": list(stores),
            "windows": [Hours(*row) for row in windows],
            "rows": {name: _read_rows(campaign, name) for name in mechanic_of(campaign).rows},
        },
    )


def read_limits() -> Limits:
    """Return the limits that the settings define."""
    return Limits(max_offline_value=settings.OFFLINE_MAX_COUPON_VALUE)


def _lock(campaign_id: int) -> Campaign:
    try:
        return lock_exclusively(campaign_id)
    except Campaign.DoesNotExist:
        raise DomainError("not_found") from None


def _require_none(faults: Iterator[Fault]) -> None:
    found = list(faults)
    if found:
        raise InvalidInput(found)


def _find_edit_faults(
    campaign: Campaign, changes: CampaignValues, seen_version: int | None, unreadable: Collection[str]
) -> Iterator[Fault]:
    """Yield the faults of an edit, and leave the changed columns on the campaign."""
    if seen_version is not None and seen_version != campaign.version:
        yield Fault(
            "/version",
            "edit_conflict",
            _("This campaign was changed after you opened it. Open it again and repeat your change."),
        )
    mechanic = mechanic_of(campaign)
    frozen = mechanic.frozen_when_opened | mechanic.rows.keys()
    yield from find_state_faults(_find_changed(campaign, changes), campaign.state, frozen)
    if campaign.state == ENDED:
        return
    yield from _apply(campaign, changes, unreadable)
    if campaign.state in OPENED:
        yield from find_cap_faults(campaign)


def _find_changed(campaign: Campaign, changes: CampaignValues) -> frozenset[str]:
    """Return the names of the fields and rows that have a new value."""
    current = read_values(campaign)
    names = {name for name, value in changes.items() if name != "rows" and _differs(name, value, current.get(name))}
    known, rows = list_rows(), changes.get("rows", {})
    return frozenset(
        names | {name for name in rows if name not in known or list(rows[name]) != _read_rows(campaign, name)}
    )


def _differs(name: str, value: Any, current: Any) -> bool:
    if name in {"stores", "segments"}:
        return set(value) != set(current)
    return [tuple(hours) for hours in value] != current if name == "windows" else bool(value != current)


def _read_rows(campaign: Campaign, name: str) -> list[Mapping[str, Any]]:
    return list(getattr(campaign, name).order_by("pk").values(*_list_row_fields(list_rows()[name])))


def _list_row_fields(model: type[Model]) -> list[str]:
    """Return the fields of a row, without its key and its campaign."""
    return [field.name for field in model._meta.concrete_fields if not field.primary_key and field.name != "campaign"]


def _apply(campaign: Campaign, changes: CampaignValues, unreadable: Collection[str]) -> Iterator[Fault]:
    """Set the changed columns on the campaign without saving it, and yield every fault."""
    for name in changes.keys() - FIELDS:
        yield Fault(f"/{name}", "unknown_field", _("The field is unknown."))
    columns = {name: value for name, value in changes.items() if name in _COLUMNS}
    for name, value in columns.items():
        setattr(campaign, _name_attribute(name), value)
    # A new campaign needs all columns; of an edit only the changed ones are checked.
    checked = _COLUMNS if campaign.pk is None else columns.keys()
    faults = [fault for name in sorted(checked - {*unreadable}) for fault in _find_field_faults(campaign, name)]
    faults += _find_store_faults(changes)
    faults += _find_row_faults(campaign, changes)
    yield from faults
    unusable = {*unreadable, *(fault.pointer.split("/")[1] for fault in faults)}
    values = {**read_values(campaign), **{name: value for name, value in changes.items() if name in _RELATED}}
    usable = {name: value for name, value in values.items() if name not in unusable}
    yield from find_value_faults(cast(CampaignValues, usable), read_limits())
    yield from mechanic_of(campaign).find_editing_faults(campaign, changes)


def _find_field_faults(row: Model, name: str, pointer: str = "") -> Iterator[Fault]:
    """Yield the faults that the field's own validators find.

    A valid value is left on the row in the field's type; an invalid one is replaced by the default.
    """
    field = cast("Field[Any, Any]", row._meta.get_field(name))
    value = getattr(row, field.attname)
    if (value is None and field.null) or (value == "" and field.blank):
        return
    try:
        _require_storable(value)
        setattr(row, field.attname, field.clean(value, row))
    except ValidationError as error:
        setattr(row, field.attname, field.get_default())
        for each in error.error_list:
            code = "unknown_value" if name == "brand" else _CODES.get(each.code or "", "invalid_format")
            yield Fault(f"{pointer}/{name}", "required" if value is None else code, each.messages[0])


def _require_storable(value: Any) -> None:
    """Reject texts that PostgreSQL cannot store, and numbers that pass every range check."""
    if isinstance(value, str) and any(sign == "\x00" or "\ud800" <= sign <= "\udfff" for sign in value):
        raise ValidationError(_("This text contains a character that cannot be stored."), "invalid_text")
    if isinstance(value, float) and not isfinite(value):
        raise ValidationError(_("This must be a finite number."), "not_finite")


def _find_store_faults(changes: CampaignValues) -> Iterator[Fault]:
    store_ids = set(changes.get("stores", ()))
    for store_id in sorted(find_unknown_stores(store_ids)):
        yield Fault("/stores", "unknown_value", _("There is no store {store_id}."), {"store_id": store_id})


def _find_row_faults(campaign: Campaign, changes: CampaignValues) -> Iterator[Fault]:
    models = mechanic_of(campaign).rows
    for name, lines in changes.get("rows", {}).items():
        if name not in models:
            yield Fault(f"/{name}", "unknown_field", _("Campaigns of this kind do not have “{name}”."), {"name": name})
            continue
        fields = _list_row_fields(models[name])
        for index, line in enumerate(lines):
            pointer = f"/{name}/{index}"
            yield from (
                Fault(f"{pointer}/{key}", "unknown_field", _("The field is unknown."))
                for key in line.keys() - set(fields)
            )
            row = models[name](**{key: line[key] for key in fields if key in line})
            yield from (fault for key in fields for fault in _find_field_faults(row, key, pointer))


def _write_related(campaign: Campaign, values: CampaignValues, names: Collection[str]) -> None:
    """Write the named rows of other tables. Lists are replaced as a whole."""
    if "stores" in names:
        campaign.stores.set(values["stores"])
    if "windows" in names:
        campaign.windows.all().delete()
        TimeWindow.objects.bulk_create(TimeWindow(campaign=campaign, **hours._asdict()) for hours in values["windows"])
    for name in values.get("rows", {}).keys() & names:
        getattr(campaign, name).all().delete()
        model = list_rows()[name]
        model._base_manager.bulk_create(model(campaign=campaign, **line) for line in values["rows"][name])


def _name_attribute(name: str) -> str:
    return "brand_id" if name == "brand" else name
