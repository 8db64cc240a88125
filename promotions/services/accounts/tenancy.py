"""Who may see and change which rows in admin: a membership gives the rows, a role gives the verbs.

A role is a Django group. The three below belong to the product: their permissions are set anew after every migrate,
so that a new model's permission cannot be forgotten; a deployment that wants another mix makes a group of its own.
Brands see counts, never persons: no role holds a permission on a row about one device.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db.models import Model, Q, QuerySet

from geofence.models import Geofence, GeofenceRevision, Partner, Store
from promotions.models import (
    Brand,
    BrandToken,
    Campaign,
    Membership,
    OfflineScan,
    PrizeLot,
    Redemption,
    StaffDevice,
    StaffEnrolment,
    StaffMember,
    TimeWindow,
    Void,
)

M = TypeVar("M", bound=Model)

BRAND_MANAGER = "Brand manager"
BRAND_ANALYST = "Brand analyst"
PARTNER_MANAGER = "Partner manager"

_VIEW = ("view",)
_EDIT = ("view", "add", "change")
_OWN = ("view", "add", "change", "delete")

_PLACES: Mapping[type[Model], tuple[str, ...]] = {Partner: _VIEW, Store: _VIEW, Geofence: _VIEW}
_CAMPAIGNS: Mapping[type[Model], tuple[str, ...]] = {Campaign: _VIEW, TimeWindow: _VIEW, PrizeLot: _VIEW}

ROLES: Mapping[str, Mapping[type[Model], tuple[str, ...]]] = {
    BRAND_MANAGER: {
        **_PLACES,
        Brand: _VIEW,
        # A token is revoked, never deleted: the row says that it was there.
        BrandToken: _EDIT,
        Campaign: _OWN,
        TimeWindow: _OWN,
        PrizeLot: _OWN,
        # Changing one is deciding who pays: the brand pays, so the partner only looks.
        OfflineScan: ("view", "change"),
    },
    BRAND_ANALYST: {**_PLACES, **_CAMPAIGNS, Brand: _VIEW},
    PARTNER_MANAGER: {
        **_CAMPAIGNS,
        Partner: _VIEW,
        # Deleting a store or fence would take its visits along; both have a switch instead.
        Store: _EDIT,
        Geofence: _EDIT,
        GeofenceRevision: _VIEW,
        StaffDevice: ("view", "change"),
        StaffEnrolment: ("view", "add"),
        # Who leaves is switched off; what they took keeps its initials.
        StaffMember: _EDIT,
        Redemption: _VIEW,
        # Adding one is taking a redemption back.
        Void: ("view", "add"),
        OfflineScan: _VIEW,
    },
}


@dataclass(frozen=True, slots=True)
class Tenancy:
    """For whom a user acts. The operator (a superuser) acts for everybody."""

    is_operator: bool
    brand_ids: frozenset[int]
    partner_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Scope:
    """Paths from a row to its owner's key; None where that side has no part in it.

    `is_directory`: a brand sees all rows, to choose stores from. `is_shared`: the partner sees, the brand owns.
    """

    brand_path: str | None = None
    partner_path: str | None = None
    is_directory: bool = False
    is_shared: bool = False


# A model left out is the operator's alone.
_SCOPES: Mapping[type[Model], _Scope] = {
    Brand: _Scope(brand_path="pk"),
    BrandToken: _Scope(brand_path="brand_id"),
    Campaign: _Scope(brand_path="brand_id", partner_path="stores__partner_id", is_shared=True),
    TimeWindow: _Scope(brand_path="campaign__brand_id", partner_path="campaign__stores__partner_id", is_shared=True),
    PrizeLot: _Scope(brand_path="campaign__brand_id", partner_path="campaign__stores__partner_id", is_shared=True),
    Partner: _Scope(partner_path="pk", is_directory=True),
    Store: _Scope(partner_path="partner_id", is_directory=True),
    Geofence: _Scope(partner_path="store__partner_id", is_directory=True),
    GeofenceRevision: _Scope(partner_path="geofence__store__partner_id", is_directory=True),
    StaffDevice: _Scope(partner_path="store__partner_id"),
    StaffEnrolment: _Scope(partner_path="store__partner_id"),
    StaffMember: _Scope(partner_path="store__partner_id"),
    Redemption: _Scope(partner_path="store__partner_id"),
    Void: _Scope(partner_path="redemption__store__partner_id"),
    OfflineScan: _Scope(brand_path="coupon__campaign__brand_id", partner_path="store__partner_id", is_shared=True),
}

_NO_PERMISSION = Q(pk__in=())


def find_tenancy(*, user: User | AnonymousUser) -> Tenancy:
    """For whom the user acts. One query, none for an operator."""
    if user.is_superuser:
        return Tenancy(is_operator=True, brand_ids=frozenset(), partner_ids=frozenset())
    if not isinstance(user, User):
        return Tenancy(is_operator=False, brand_ids=frozenset(), partner_ids=frozenset())
    sides = list(Membership.objects.filter(user=user).values_list("brand_id", "partner_id"))
    return Tenancy(
        is_operator=False,
        brand_ids=frozenset(brand_id for brand_id, _ in sides if brand_id is not None),
        partner_ids=frozenset(partner_id for _, partner_id in sides if partner_id is not None),
    )


def filter_visible(*, rows: QuerySet[M], tenancy: Tenancy) -> QuerySet[M]:
    """The rows the user may look at."""
    if tenancy.is_operator:
        return rows
    scope = _SCOPES.get(rows.model)
    if scope is None:
        return rows.filter(_NO_PERMISSION)
    if scope.is_directory and tenancy.brand_ids:
        return rows
    return rows.filter(_owned(rows.model, scope, tenancy, with_shared=True))


def filter_editable(*, rows: QuerySet[M], tenancy: Tenancy) -> QuerySet[M]:
    """The rows the user may change, given the verb."""
    if tenancy.is_operator:
        return rows
    scope = _SCOPES.get(rows.model)
    if scope is None:
        return rows.filter(_NO_PERMISSION)
    return rows.filter(_owned(rows.model, scope, tenancy, with_shared=False))


def is_editable(*, row: Model, tenancy: Tenancy) -> bool:
    """Whether the row lies in what the user may change."""
    if tenancy.is_operator:
        return True
    scope = _SCOPES.get(type(row))
    if scope is None:
        return False
    by_brand = scope.brand_path is not None and _read(row, scope.brand_path) in tenancy.brand_ids
    if by_brand or scope.is_shared or scope.partner_path is None:
        return by_brand
    return _read(row, scope.partner_path) in tenancy.partner_ids


def _owned(model: type[Model], scope: _Scope, tenancy: Tenancy, *, with_shared: bool) -> Q:
    owned = _NO_PERMISSION
    if scope.brand_path and tenancy.brand_ids:
        owned |= Q(**{f"{scope.brand_path}__in": tenancy.brand_ids})
    if scope.partner_path and tenancy.partner_ids and (with_shared or not scope.is_shared):
        through = {f"{scope.partner_path}__in": tenancy.partner_ids}
        # Through many-to-many a join would repeat rows, so the owners are found in a subquery.
        shared = Q(pk__in=model._base_manager.filter(**through).values("pk")) if scope.is_shared else Q(**through)
        owned |= shared
    return owned


def _read(row: Any, path: str) -> Any:
    for name in path.split("__"):
        if row is None:
            # A scan of a coupon that is none of ours leads to no brand.
            return None
        row = getattr(row, name)
    return row


def ensure_roles() -> None:
    """Make the product's groups and give each exactly its permissions. Repeatable; run after every migrate."""
    for name, grants in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set(_permissions(grants.items()))


def _permissions(grants: Iterable[tuple[type[Model], tuple[str, ...]]]) -> QuerySet[Permission]:
    condition = _NO_PERMISSION
    for model, verbs in grants:
        codenames = [f"{verb}_{model._meta.model_name}" for verb in verbs]
        condition |= Q(content_type__app_label=model._meta.app_label, codename__in=codenames)
    return Permission.objects.filter(condition)
