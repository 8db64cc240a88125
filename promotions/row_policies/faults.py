"""Checks of the declarations. Each fault is a sentence that names the model and the remedy."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db.models import CASCADE, SET_NULL, DateField, DateTimeField, Field, ForeignKey, Model, UUIDField
from django.utils.module_loading import import_string

from promotions.row_policies.declarations import (
    Cascade,
    Delete,
    Detach,
    ErasedBy,
    ExpiredBy,
    Export,
    ExportedBy,
    Keep,
    NotPersonal,
    Owner,
    Remains,
    Roles,
    RowPolicy,
    Subject,
    WithParent,
)
from promotions.row_policies.libraries import LIBRARIES, LIBRARY_POLICIES
from promotions.row_policies.queries import find_policy


def find_faults(models: Iterable[type[Model]]) -> list[str]:
    """Return what is wrong with the declarations of these models, or missing."""
    return [fault for model in models for fault in _find_faults_of(model)]


def find_entry_faults() -> list[str]:
    """Return the entries of `LIBRARY_POLICIES` that belong to no model of a library."""
    labels = {model._meta.label for library in LIBRARIES for model in apps.get_app_config(library).get_models()}
    return [
        f"{label} has an entry in promotions/row_policies/libraries.py, but is no model of {' or '.join(LIBRARIES)}: "
        "correct the label, or delete the entry."
        for label in LIBRARY_POLICIES
        if label not in labels
    ]


def leads_to_device(model: type[Model], seen: frozenset[type[Model]] = frozenset()) -> bool:
    """Return whether a row belongs to one device: by its id, by a key, or by a key to a row that does."""
    policy = find_policy(model)
    if policy is not None and isinstance(policy.erasure, Subject):
        return True
    fields = model._meta.get_fields()
    if any(isinstance(field, UUIDField) and field.name == "device_id" for field in fields):
        return True
    parents = {field.related_model for field in fields if isinstance(field, ForeignKey)} - seen - {model}
    return any(leads_to_device(parent, seen | {model}) for parent in parents)


def _find_faults_of(model: type[Model]) -> Iterator[str]:
    name = model._meta.label
    policy = find_policy(model)
    if policy is None:
        is_library = model._meta.app_label in LIBRARIES
        place = "to LIBRARY_POLICIES in promotions/row_policies/libraries.py" if is_library else "to the class"
        entry = f'"{name}": RowPolicy(...)' if is_library else "row_policy = RowPolicy(...)"
        yield f"{name} does not declare what becomes of its rows: add `{entry}` {place} (CONTRIBUTING.md, “a model”)."
        return
    for part in (_find_owner_faults, _find_retention_faults, _find_erasure_faults, _find_export_faults):
        for fault in part(model, policy):
            yield f"{name}: row_policy.{fault}"


def _find_owner_faults(model: type[Model], policy: RowPolicy) -> Iterator[str]:
    for side in ("brand", "partner"):
        path = getattr(policy.owner, side)
        if path is not None and _find_target(model, path) != side:
            yield f"owner.{side} is {path!r}, which does not lead to a {side}: name the keys to it, as in a query."
    if policy.roles != Roles() and policy.owner == Owner():
        yield "roles gives permissions, but no one owns a row: declare `owner`, or leave out `roles`."


def _find_target(model: type[Model], path: str) -> str | None:
    """Return the name of the model that the path's last key refers to, in lower case."""
    if path == "pk":
        return model._meta.model_name
    fields = _follow(model, path)
    last = fields[-1] if fields else None
    return last.related_model._meta.model_name if isinstance(last, ForeignKey) else None


def _follow(model: type[Model], path: str) -> list[Any]:
    """Return the fields along a path. Empty: one does not exist."""
    fields: list[Any] = []
    current: Any = model
    for name in path.split("__"):
        try:
            field = current._meta.pk if name == "pk" else current._meta.get_field(name)
        except (AttributeError, FieldDoesNotExist):
            return []
        fields.append(field)
        current = field.related_model
    return fields


def _find_retention_faults(model: type[Model], policy: RowPolicy) -> Iterator[str]:
    match policy.retention:
        case Keep() as keep:
            yield from _find_keep_faults(model, keep)
        case ExpiredBy(function=function):
            yield from _find_function_fault("retention.function", function)
        case WithParent(parent=parent) if not _is_key(_find_field(model, parent), CASCADE):
            yield f"retention.parent is {parent!r}: name a key of the model with on_delete=CASCADE."


def _find_keep_faults(model: type[Model], keep: Keep) -> Iterator[str]:
    if not isinstance(_find_field(model, keep.by), DateField):
        yield f"retention.by is {keep.by!r}: name a date or time field of the model."
    if keep.not_before and not isinstance((_follow(model, keep.not_before) or [None])[-1], DateTimeField):
        yield f"retention.not_before is {keep.not_before!r}: name the path to a time field."
    if keep.or_with_parent and not _is_key(_find_field(model, keep.or_with_parent), CASCADE):
        yield f"retention.or_with_parent is {keep.or_with_parent!r}: name a key of the model with on_delete=CASCADE."
    if keep.seconds_setting and not hasattr(settings, keep.seconds_setting):
        yield f"retention.seconds_setting is {keep.seconds_setting!r}: name a setting in seconds."
    if keep.blanked:
        yield from _find_function_fault("retention.blanked.function", keep.blanked.function)
    if keep.deleted_by:
        yield from _find_function_fault("retention.deleted_by", keep.deleted_by)


def _find_erasure_faults(model: type[Model], policy: RowPolicy) -> Iterator[str]:
    match policy.erasure:
        case Delete(by=by) if not _is_device_id(model, by):
            yield f"erasure.by is {by!r}: name the field that contains the device's id."
        case Cascade(by=by, first=first):
            if not (_is_device_id(model, by) and _is_key(_follow(model, by)[0], CASCADE)):
                yield f"erasure.by is {by!r}: name the path to the device's id, by a key with on_delete=CASCADE."
            elif not _is_erased(_follow(model, by)[0].related_model):
                yield f"erasure.by is {by!r}, but its first key is to a row that stays: declare Delete with this path."
            if first:
                yield from _find_function_fault("erasure.first", first)
        case Detach(by=by) if not (_is_device_id(model, by) and _is_key(_follow(model, by)[0], SET_NULL)):
            yield f"erasure.by is {by!r}: name the path to the device's id, by a key with on_delete=SET_NULL."
        case ErasedBy(function=function):
            yield from _find_function_fault("erasure.function", function)
        case NotPersonal() | Remains() if leads_to_device(model):
            yield "erasure leaves the rows, but they lead to a device: declare Delete, Cascade, Detach or ErasedBy."


def _find_export_faults(model: type[Model], policy: RowPolicy) -> Iterator[str]:
    concerns_device = not isinstance(policy.erasure, NotPersonal | Remains)
    match policy.export:
        case None if concerns_device:
            yield "export is missing: declare Export, ExportedBy, or NotExported with the reason."
        case Export(columns=columns, order_by=order_by):
            if not isinstance(policy.erasure, Delete | Cascade | Detach):
                yield "export needs a path to the device: declare Delete, Cascade or Detach as `erasure`."
            try:
                model._default_manager.order_by(order_by).values(*columns)
            except FieldError as error:
                yield f"export names a column that does not exist: {error}."
        case ExportedBy(function=function):
            yield from _find_function_fault("export.function", function)


def _find_field(model: type[Model], name: str) -> Field[Any, Any] | None:
    fields = _follow(model, name) if "__" not in name else []
    return fields[0] if fields else None


def _is_key(field: object, on_delete: object) -> bool:
    return isinstance(field, ForeignKey) and field.remote_field.on_delete is on_delete


def _is_device_id(model: type[Model], path: str) -> bool:
    """Return whether a path ends at the id of a device: a key to the `Subject`, or a plain UUID of that name."""
    fields = _follow(model, path)
    if not fields:
        return False
    last = fields[-1]
    if isinstance(last, ForeignKey):
        policy = find_policy(last.related_model)
        return policy is not None and isinstance(policy.erasure, Subject)
    return isinstance(last, UUIDField) and last.name == "device_id"


def _is_erased(model: type[Model]) -> bool:
    policy = find_policy(model)
    return policy is not None and isinstance(policy.erasure, Delete | Cascade | Subject)


def _find_function_fault(where: str, function: str) -> Iterator[str]:
    try:
        import_string(function)
    except ImportError:
        yield f"{where} is {function!r}, which cannot be imported: name an existing function."
