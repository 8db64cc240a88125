"""Records of the audit in words: who, what, from which value to which. Names are looked up now, for many at once."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Field, ForeignKey, Model
from django.urls import NoReverseMatch, reverse
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from promotions.database.acting import ActorKind
from promotions.models import AuditRecord, BrandToken, StaffDevice, StaffEnrolment

_SHOWN_CHARS = 200

ACTOR_KINDS = {
    ActorKind.USER: _("user"),
    ActorKind.TILL: _("till"),
    ActorKind.KIOSK: _("kiosk"),
    ActorKind.ENROLMENT: _("enrolment"),
    ActorKind.BRAND_TOKEN: _("brand token"),
    ActorKind.DEVICE: _("phone"),
    ActorKind.ANONYMOUS: _("not signed in"),
    ActorKind.COMMAND: _("command"),
    ActorKind.TASK: _("task"),
    ActorKind.DATABASE: _("SQL"),
}
_ACTOR_MODELS: dict[str, type[Model]] = {
    ActorKind.USER: User,
    ActorKind.TILL: StaffDevice,
    ActorKind.KIOSK: StaffDevice,
    ActorKind.ENROLMENT: StaffEnrolment,
    ActorKind.BRAND_TOKEN: BrandToken,
}
# Counts of what an action did.
_COUNTS = {
    "coupons_recalled": _("Coupons recalled"),
    "deleted": _("Records deleted"),
    "selected": _("Selected"),
}
_VERBS = {
    "add": _("Add"),
    "change": _("Change"),
    "delete": _("Delete"),
    "delete_selected": _("Delete"),
    "changelist": _("Change in the list"),
    "password_change": _("Change of password"),
    "login": _("Sign in"),
    "logout": _("Sign out"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One column. `is_sealed`: it changed, and its values are not in the audit."""

    name: str
    before: str
    after: str
    is_sealed: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One record in words. `address` is the page of its subject, if it has one."""

    record: AuditRecord
    at: str
    actor: str
    actor_kind: str
    action: str
    operation: str
    subject_kind: str
    subject: str
    address: str
    changes: Sequence[Change]


def describe(records: Iterable[AuditRecord]) -> list[Line]:
    """Return the records in words. As many queries as there are kinds of names in them."""
    found = list(records)
    names = _look_up(found)
    return [_describe(record, names) for record in found]


class _Names:
    """Names of rows, by model and key."""

    def __init__(self) -> None:
        self.requested: dict[type[Model], set[str]] = defaultdict(set)
        self.known: dict[tuple[type[Model], str], str] = {}

    def request(self, model: type[Model], key: object) -> None:
        self.requested[model].add(str(key))

    def read(self) -> None:
        for model, keys in self.requested.items():
            # The name of a row can contain the names of those that it refers to.
            related = [field.name for field in model._meta.concrete_fields if isinstance(field, ForeignKey)]
            rows = model._base_manager.select_related(*related).in_bulk(list(_list_valid(model, keys)))
            for pk, row in rows.items():
                self.known[model, str(pk)] = str(row)

    def get(self, model: type[Model], key: object) -> str | None:
        return self.known.get((model, str(key)))


def _list_valid(model: type[Model], keys: Iterable[str]) -> Iterator[Any]:
    for key in keys:
        try:
            yield model._meta.pk.to_python(key)
        except ValidationError:
            continue


def _look_up(records: Sequence[AuditRecord]) -> _Names:
    names = _Names()
    for record in records:
        if record.actor_kind in _ACTOR_MODELS:
            names.request(_ACTOR_MODELS[record.actor_kind], record.actor_id)
        model = _find_model(record.subject)
        if model is None:
            continue
        if record.subject_id and not record.subject_label and not model._meta.auto_created:
            names.request(model, record.subject_id)
        if model._meta.auto_created and (parent := _find_model(record.parent)):
            names.request(parent, record.parent_id)
        for column, pair in record.changes.items():
            field = _find_field(model, column)
            if isinstance(field, ForeignKey) and isinstance(pair, list):
                for key in pair:
                    if key is not None:
                        names.request(field.related_model, key)
    names.read()
    return names


def _describe(record: AuditRecord, names: _Names) -> Line:
    model = _find_model(record.subject)
    is_relation = bool(model and model._meta.auto_created)
    # A row of a many-to-many key has no page and no name: it belongs to its parent.
    shown, key = (_find_model(record.parent), record.parent_id) if is_relation else (model, record.subject_id)
    label = (names.get(shown, key) if shown else None) if is_relation else record.subject_label
    name = label or (names.get(shown, key) if shown else None) or key
    return Line(
        record=record,
        at=f"{record.recorded_at:%Y-%m-%d %H:%M:%S} UTC",
        actor=_name_actor(record, names),
        actor_kind=str(ACTOR_KINDS.get(ActorKind(record.actor_kind), record.actor_kind)),
        action=_name_action(record),
        operation=record.get_operation_display(),
        subject_kind=capfirst(str(shown._meta.verbose_name)) if shown else record.subject,
        subject=name,
        address=_find_address(shown, key),
        changes=list(_list_changes(record, model, names)),
    )


def _name_actor(record: AuditRecord, names: _Names) -> str:
    model = _ACTOR_MODELS.get(record.actor_kind)
    if model is None:
        return record.actor_id or "–"
    # The pseudonym of an erased account is its number.
    return names.get(model, record.actor_id) or gettext("deleted, no. {number}").format(number=record.actor_id)


def _name_action(record: AuditRecord) -> str:
    parts = record.action.split(" ")
    if parts[0] != "admin" or len(parts) < 2:
        return record.action or "–"
    verb, model = parts[-1], _find_model(parts[1]) if len(parts) == 3 else None
    page = admin.site._registry.get(model) if model is not None else None
    description = getattr(getattr(page, verb, None), "short_description", None)
    # The part after the colon explains the action to the person who chooses it.
    return str(description).split(":")[0].strip() if description else str(_VERBS.get(verb, verb))


def _list_changes(record: AuditRecord, model: type[Model] | None, names: _Names) -> Iterator[Change]:
    for column, pair in record.changes.items():
        field = _find_field(model, column) if model else None
        name = capfirst(str(field.verbose_name)) if field else str(_COUNTS.get(column, capfirst(column)))
        if not isinstance(pair, list):
            yield Change(name, "", "", is_sealed=True)
            continue
        before, after = (_show(value, field, names) for value in pair)
        yield Change(name, before, after, is_sealed=False)


def _show(value: Any, field: "Field[Any, Any] | None", names: _Names) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(field, ForeignKey):
        return names.get(field.related_model, value) or str(value)
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if field is not None and field.choices:
        # The part after the colon explains the choice to the person who makes it.
        return str(dict(field.flatchoices).get(value, value)).split(":")[0].strip()
    return Truncator(str(value)).chars(_SHOWN_CHARS)


def _find_address(model: type[Model] | None, key: str) -> str:
    if model is None or not key:
        return ""
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[key])
    except NoReverseMatch:
        return ""


def _find_model(label: str) -> type[Model] | None:
    try:
        return apps.get_model(label) if label else None
    except (LookupError, ValueError):
        # Of an earlier release.
        return None


def _find_field(model: type[Model] | None, column: str) -> Any:
    if model is None:
        return None
    return next((field for field in model._meta.concrete_fields if field.column == column), None)
