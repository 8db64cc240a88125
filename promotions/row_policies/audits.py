"""The audited tables: those of the models that declare an `Audit`, of Django's accounts, and of many-to-many keys."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db.models import ForeignKey, ManyToManyField, Model

from promotions.row_policies.declarations import OPERATOR, Audit, Owner
from promotions.row_policies.queries import find_policy

# Django's own models have no row policy. Names of people are sealed: an erasure could not remove them.
DJANGO_AUDITS: dict[str, Audit] = {
    "auth.User": Audit(sealed=("password", "username", "first_name", "last_name", "email"), ignored=("last_login",)),
    "auth.Group": Audit(label="name"),
}


@dataclass(frozen=True, slots=True)
class AuditedTable:
    """A table with audit triggers. `owner` has the paths to the keys of the brand and the partner of a row."""

    model: type[Model]
    audit: Audit
    owner: Owner


def find_audit(model: type[Model]) -> Audit | None:
    """Return what a model declares, or Django's model in `DJANGO_AUDITS`. None: its changes are not recorded."""
    policy = find_policy(model)
    return policy.audit if policy else DJANGO_AUDITS.get(model._meta.label)


def list_audited() -> list[AuditedTable]:
    """Return all audited tables. The rows of an audited model's many-to-many keys belong to its history."""
    tables = []
    for model in apps.get_models():
        audit = find_audit(model)
        if audit is None:
            continue
        policy = find_policy(model)
        owner = policy.owner if policy else OPERATOR
        tables.append(AuditedTable(model, audit, owner))
        tables += _list_relations(model, owner)
    return tables


def _list_relations(model: type[Model], owner: Owner) -> Iterator[AuditedTable]:
    for relation in model._meta.local_many_to_many:
        through = relation.remote_field.through
        # A relation with a model of its own declares an audit itself.
        if through is None or not through._meta.auto_created:
            continue
        key = _find_key(through, relation)
        brand = owner.brand and _prepend(key, owner.brand)
        is_shared = owner.partners_only_view or owner.partner is None
        partner = None if is_shared else _prepend(key, str(owner.partner))
        ignored = (str(through._meta.pk.column), key.column)
        yield AuditedTable(
            through,
            Audit(parent=key.column, ignored=ignored, operations=("insert", "delete")),
            Owner(brand=brand, partner=partner),
        )


def _find_key(through: type[Model], relation: "ManyToManyField[Model, Model]") -> "ForeignKey[Model, Model]":
    key = through._meta.get_field(relation.m2m_field_name())
    assert isinstance(key, ForeignKey)
    return key


def _prepend(key: "ForeignKey[Model, Model]", path: str) -> str:
    return key.attname if path == "pk" else f"{key.name}__{path}"
