"""Rows that a user sees and changes in admin: a membership gives the rows, a role gives the permissions.

A role is a Django group. The three below belong to the product: after every migrate they get the permissions that the
row policies declare (`roles`). A deployment that needs other permissions creates another group.
Brands see counts, never persons: no role has a permission on a row about one device.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db.models import Model, Q, QuerySet

from promotions.models import Membership
from promotions.row_policies import OPERATOR, Owner, Verbs
from promotions.row_policies.queries import find_policy, list_declared, read_policy

M = TypeVar("M", bound=Model)

BRAND_MANAGER = "Brand manager"
BRAND_ANALYST = "Brand analyst"
PARTNER_MANAGER = "Partner manager"


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Brands and partners for which a user acts. The operator (a superuser) acts for all."""

    is_operator: bool
    brand_ids: frozenset[int]
    partner_ids: frozenset[int]


_NO_ROW = Q(pk__in=())


def find_tenancy(*, user: User | AnonymousUser) -> Tenancy:
    """Return the brands and partners for which the user acts. One query, none for an operator.

    No one acts without `is_active` and `is_staff`, so a flag that is taken away ends every way in.
    """
    if not (isinstance(user, User) and user.is_active and user.is_staff):
        return Tenancy(is_operator=False, brand_ids=frozenset(), partner_ids=frozenset())
    if user.is_superuser:
        return Tenancy(is_operator=True, brand_ids=frozenset(), partner_ids=frozenset())
    sides = list(Membership.objects.filter(user=user).values_list("brand_id", "partner_id"))
    return Tenancy(
        is_operator=False,
        brand_ids=frozenset(brand_id for brand_id, _ in sides if brand_id is not None),
        partner_ids=frozenset(partner_id for _, partner_id in sides if partner_id is not None),
    )


def filter_visible(*, rows: QuerySet[M], tenancy: Tenancy) -> QuerySet[M]:
    """Return the rows that the user may view."""
    if tenancy.is_operator:
        return rows
    owner = _find_owner(rows.model)
    if owner.brands_view_all and tenancy.brand_ids:
        return rows
    return rows.filter(_owned(rows.model, owner, tenancy, with_viewed=True))


def filter_editable(*, rows: QuerySet[M], tenancy: Tenancy) -> QuerySet[M]:
    """Return the rows that the user may change if the role has the permission."""
    if tenancy.is_operator:
        return rows
    return rows.filter(_owned(rows.model, _find_owner(rows.model), tenancy, with_viewed=False))


def is_editable(*, row: Model, tenancy: Tenancy) -> bool:
    """Return whether the user may change the row if the role has the permission."""
    if tenancy.is_operator:
        return True
    owner = _find_owner(type(row))
    by_brand = owner.brand is not None and _read(row, owner.brand) in tenancy.brand_ids
    if by_brand or owner.partners_only_view or owner.partner is None:
        return by_brand
    return _read(row, owner.partner) in tenancy.partner_ids


def _find_owner(model: type[Model]) -> Owner:
    """Return the owner by the model's row policy; the operator alone sees the rows of any other model."""
    policy = find_policy(model)
    return policy.owner if policy else OPERATOR


def _owned(model: type[Model], owner: Owner, tenancy: Tenancy, *, with_viewed: bool) -> Q:
    owned = _NO_ROW
    if owner.brand and tenancy.brand_ids:
        owned |= Q(**{f"{owner.brand}__in": tenancy.brand_ids})
    if owner.partner and tenancy.partner_ids and (with_viewed or not owner.partners_only_view):
        through = {f"{owner.partner}__in": tenancy.partner_ids}
        # A join through many-to-many would repeat rows, so a subquery finds the owners.
        viewed = Q(pk__in=model._base_manager.filter(**through).values("pk"))
        owned |= viewed if owner.partners_only_view else Q(**through)
    return owned


def _read(row: Any, path: str) -> Any:
    for name in path.split("__"):
        if row is None:
            # A scan without one of our coupons leads to no brand.
            return None
        row = getattr(row, name)
    return row


def list_grants() -> Mapping[str, Mapping[type[Model], Verbs]]:
    """Return what each role may do with the rows of each model, by its row policy."""
    roles = {model: read_policy(model).roles for model in list_declared()}
    return {
        BRAND_MANAGER: {model: role.brand_manager for model, role in roles.items() if role.brand_manager},
        BRAND_ANALYST: {model: role.brand_analyst for model, role in roles.items() if role.brand_analyst},
        PARTNER_MANAGER: {model: role.partner_manager for model, role in roles.items() if role.partner_manager},
    }


def ensure_roles() -> None:
    """Create the product's groups and set each one's permissions. Repeatable; runs after every migrate."""
    for name, grants in list_grants().items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set(_permissions(grants.items()))


def _permissions(grants: Iterable[tuple[type[Model], Verbs]]) -> QuerySet[Permission]:
    granted = _NO_ROW
    for model, verbs in grants:
        codenames = [f"{verb}_{model._meta.model_name}" for verb in verbs]
        granted |= Q(content_type__app_label=model._meta.app_label, codename__in=codenames)
    return Permission.objects.filter(granted)
