"""Queries that follow from the declarations: rows that have expired, and the rows of a device."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db.models import CASCADE, DateTimeField, ForeignKey, Model, QuerySet
from django.utils.module_loading import import_string

from promotions.row_policies.declarations import Cascade, Delete, Detach, ErasedBy, ExpiredBy, Export, Keep, RowPolicy
from promotions.row_policies.libraries import LIBRARY_POLICIES

DeleteRows = Callable[[QuerySet[Any]], object]


def find_policy(model: type[Model]) -> RowPolicy | None:
    """Return the policy that the model itself has, or a library's model in `LIBRARY_POLICIES`. None: it has none."""
    declared = vars(model).get("row_policy")
    return declared if isinstance(declared, RowPolicy) else LIBRARY_POLICIES.get(model._meta.label)


def read_policy(model: type[Model]) -> RowPolicy:
    """Return the model's policy. Errors: LookupError if it has none."""
    policy = find_policy(model)
    if policy is None:
        raise LookupError(f"{model._meta.label} has no row policy.")
    return policy


def list_declared(app_label: str | None = None) -> list[type[Model]]:
    """Return the models that have a policy: parents before the rows that are deleted with them, else by name."""
    models = [model for model in apps.get_models() if find_policy(model) is not None]
    chosen = [model for model in models if app_label in (None, model._meta.app_label)]
    return sorted(chosen, key=lambda model: (_depth(model), model._meta.label))


def _depth(model: type[Model], seen: frozenset[type[Model]] = frozenset()) -> int:
    """Return the length of the longest chain of keys through which a row is deleted with another."""
    parents = {
        key.related_model
        for key in model._meta.get_fields()
        if isinstance(key, ForeignKey) and key.remote_field.on_delete is CASCADE
    }
    return max((1 + _depth(parent, seen | {model}) for parent in parents - seen - {model}), default=0)


def read_keep(model: type[Model]) -> Keep:
    """Return how long the model's rows are kept. Errors: TypeError if it declares no `Keep`."""
    retention = read_policy(model).retention
    if not isinstance(retention, Keep):
        raise TypeError(f"{model._meta.label} declares no Keep.")
    return retention


def find_cutoff(model: type[Model], *, now: datetime) -> datetime:
    """Return the time before which a row of the model has expired. Errors: TypeError if it declares no `Keep`."""
    keep = read_keep(model)
    seconds = getattr(settings, keep.seconds_setting) if keep.seconds_setting else 0
    return now - timedelta(days=keep.days, hours=keep.hours, seconds=seconds)


def find_expired(model: type[Model], *, now: datetime) -> QuerySet[Any]:
    """Return a query of the model's expired rows. Errors: TypeError if it declares neither `Keep` nor `ExpiredBy`."""
    retention = read_policy(model).retention
    if isinstance(retention, ExpiredBy):
        expired: QuerySet[Any] = import_string(retention.function)(now=now)
        return expired
    keep, cutoff = read_keep(model), find_cutoff(model, now=now)
    by_day = not isinstance(model._meta.get_field(keep.by), DateTimeField)
    rows = model._default_manager.filter(**{f"{keep.by}__lt": cutoff.date() if by_day else cutoff})
    if keep.or_with_parent:
        rows = rows.filter(**{keep.or_with_parent: None})
    if keep.not_before is None:
        return rows
    return rows.exclude(**{f"{keep.not_before}__gt": now - timedelta(days=keep.not_before_days)})


def drop_expired(app_label: str, *, now: datetime, delete: DeleteRows) -> None:
    """Empty and delete what has expired in an app's tables, parents first. Repeatable; each statement is on its own.

    `delete` deletes the rows of a query, or leaves them.
    """
    for model in list_declared(app_label):
        retention = read_policy(model).retention
        if isinstance(retention, Keep) and retention.blanked:
            blanked = retention.blanked
            import_string(blanked.function)(before=now - timedelta(hours=blanked.hours))
        if isinstance(retention, Keep | ExpiredBy):
            delete(find_expired(model, now=now))


def find_rows_of_device(model: type[Model], device_id: UUID) -> QuerySet[Any]:
    """Return a query of a device's rows, for its export or erasure. Errors: TypeError if no path leads to them."""
    erasure = read_policy(model).erasure
    if not isinstance(erasure, Delete | Cascade | Detach):
        raise TypeError(f"{model._meta.label} declares no path to a device.")
    return model._default_manager.filter(**{erasure.by: device_id})


def export_rows(model: type[Model], device_id: UUID) -> QuerySet[Any, dict[str, Any]]:
    """Return the exported columns of a device's rows. Errors: TypeError if the model declares no `Export`."""
    export = read_policy(model).export
    if not isinstance(export, Export):
        raise TypeError(f"{model._meta.label} declares no Export.")
    return find_rows_of_device(model, device_id).order_by(export.order_by, "pk").values(*export.columns)


def erase_device(app_label: str, device_id: UUID, *, now: datetime) -> None:
    """Remove a device's data from an app's tables, in the caller's transaction. Repeatable.

    Children first: what a `Cascade` names as `first` still finds its rows. The caller deletes the `Subject` afterwards.
    """
    for model in reversed(list_declared(app_label)):
        erasure = read_policy(model).erasure
        if isinstance(erasure, ErasedBy):
            import_string(erasure.function)(device_id, now=now)
        elif isinstance(erasure, Cascade) and erasure.first:
            import_string(erasure.first)(device_id, now=now)
        elif isinstance(erasure, Delete):
            find_rows_of_device(model, device_id).delete()
