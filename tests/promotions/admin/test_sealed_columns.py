"""What no page shows cannot be guessed by filters, orders, searches or choices: a walk over every model and column."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import NotRelationField, flatten_fieldsets, get_fields_from_path
from django.contrib.auth.models import User
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.test import Client, RequestFactory
from django.urls import reverse

from geofence.models import LastFix, Store
from notifications.models import PushAddress
from promotions.admin.base import Scoped
from promotions.admin.lookups import list_lookups
from promotions.mechanics.instant_win.models import WinningMoment
from promotions.models import (
    AdminSession,
    BrandToken,
    Campaign,
    Coupon,
    DeadLetter,
    IdempotencyRecord,
    RecoveryCode,
    Redemption,
    SecondFactor,
    StaffDevice,
    StaffEnrolment,
    StaffMember,
)
from tests import factories
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

PAGES = admin.site._registry
PATTERNS = ["regex", "icontains", "startswith"]
FORMS = ["", "exact", "in", "isnull", "gt", "range", "year", *PATTERNS]
# At the end of two relations.
DISTANT = ["regex"]
# Columns that must be sealed, although a page shows others.
SECRETS: dict[type[Model], set[str]] = {
    AdminSession: {"stamp"},
    BrandToken: {"token_digest"},
    Campaign: {"seed", "salt"},
    Coupon: {"code_digest"},
    DeadLetter: {"fields"},
    IdempotencyRecord: {"body", "fingerprint", "key"},
    LastFix: {"cell_latitude_deg", "cell_longitude_deg", "point_digest"},
    PushAddress: {"address"},
    RecoveryCode: {"digest"},
    Redemption: {"nonce", "fingerprint"},
    SecondFactor: {"secret", "credential"},
    StaffDevice: {"token_digest"},
    StaffEnrolment: {"token_digest"},
    StaffMember: {"pin_hash"},
    User: {"password"},
}


def label(model: type[Model]) -> str:
    return model._meta.label


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def columns(model: type[Model]) -> list[str]:
    return [field.name for field in model._meta.concrete_fields]


def relations(model: type[Model]) -> Iterator[tuple[str, type[Model]]]:
    for field in model._meta.get_fields():
        if field.is_relation and isinstance(field.related_model, type):
            yield field.name, field.related_model


def every_lookup(model: type[Model]) -> list[str]:
    """Every column of the model and of all models one and two relations away, with every form."""
    near = [*columns(model), *(f"{name}__{column}" for name, other in relations(model) for column in columns(other))]
    distant = [
        f"{name}__{further}__{column}"
        for name, other in relations(model)
        for further, last in relations(other)
        for column in columns(last)
    ]
    forms = [(near, FORMS), (distant, DISTANT)]
    return [f"{path}__{end}" if end else path for paths, ends in forms for path in paths for end in ends]


def page_request(user: User) -> Any:
    request = RequestFactory().get("/admin/")
    request.user = user
    return request


def operator_request() -> Any:
    return page_request(User.objects.create_superuser("an operator"))


def shown_columns(page: admin.ModelAdmin[Any], request: Any) -> set[str]:
    """Names of columns on the list and in its filters."""
    filters = [entry if isinstance(entry, str) else entry[0] for entry in page.get_list_filter(request)
               if isinstance(entry, str | tuple)]  # fmt: skip
    names = {*map(str, page.get_list_display(request)), *filters, *filter(None, [page.date_hierarchy])}
    # A list may name a key by its column: `device_id`.
    return names | {field.name for field in page.model._meta.concrete_fields if field.attname in names}


def sealed(model: type[Model], request: Any) -> set[str]:
    """Columns on no page of the model: neither in its list nor on the page of a row."""
    page = PAGES[model]
    on_page = flatten_fieldsets(page.get_fieldsets(request, model()))
    added = flatten_fieldsets(page.get_fieldsets(request))
    ordered = {getattr(getattr(page, name, None), "admin_order_field", None) for name in map(str, page.list_display)}
    ordered |= {getattr(getattr(page, str(name), None), "admin_order_field", None) for name in on_page}
    # A row's id is in the address of its page. A user's page masks the password.
    shown = {*on_page, *added, *shown_columns(page, request), *filter(None, ordered), page.opts.pk.name} - {"password"}
    return set(columns(model)) - shown


def find_pages_without_base(site: admin.AdminSite) -> list[str]:
    """Name the pages whose lists are not limited, or that replace what limits them."""
    kept = ("changelist_view", "lookup_allowed", "to_field_allowed")
    return [
        type(page).__name__
        for page in site._registry.values()
        if any(getattr(type(page), name) is not getattr(Scoped, name) for name in kept)
    ]


class World:
    """A row of each model, and a client of each role with its own rows."""

    def __init__(self) -> None:
        self.store = factories.store()
        self.campaign = factories.campaign(self.store, salt="a-secret-salt", seed=b"\x07" * 32)
        for model, make in rows.MAKERS.items():
            if model is not WinningMoment:
                make(self.campaign, self.store)
        self.clients = {
            "operator": rows.operator(),
            "brand_manager": rows.brand_manager(self.campaign.brand),
            "brand_analyst": rows.brand_analyst(self.campaign.brand),
            "partner_manager": rows.partner_manager(self.store.partner),
        }
        self.users = {
            role: User.objects.get(pk=client.session["_auth_user_id"]) for role, client in self.clients.items()
        }

    def guesses(self, model: type[Model]) -> dict[str, tuple[str, str]]:
        """A right and a wrong value of each column, and of each column of the rows that it refers to."""
        forward = [
            f"{field.name}__{column}"
            for field in model._meta.concrete_fields
            if field.is_relation and isinstance(field.related_model, type)
            for column in columns(field.related_model)
        ]
        found = model._default_manager.values(*columns(model), *forward).first() or {}
        return {path: (_as_text(value), f"{_as_text(value)}0") for path, value in found.items()}


def _as_text(value: object) -> str:
    text = bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
    return text.replace("\x00", "") or "1"


def ask(client: Client, model: type[Model], query: dict[str, str]) -> tuple[int, str, str]:
    """Filter by everything at once. Return the status, the number of refused names, and what the page shows."""
    answer = client.get(list_of(model), query)
    body = answer.content.decode()
    count = re.search(r"The address contains (\d+) parameter", body)
    # The token differs from page to page.
    return answer.status_code, count[1] if count else "", re.sub(r'csrf[^>]+"[^"]+"', "", body)


def test_no_role_can_filter_by_what_its_pages_do_not_show(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = None
    world, request = World(), operator_request()
    walked: list[str] = []
    for model, page in PAGES.items():
        lookups, values, shown = every_lookup(model), world.guesses(model), shown_columns(page, request)
        truths = {name: find_guess(values, name)[0] for name in lookups}
        lies = {name: find_guess(values, name)[1] for name in lookups}
        accepted = list_lookups(page, request).intersection(lookups)
        assert not [name for name in accepted if name.rpartition("__")[2] in PATTERNS], model
        assert not [name for name in accepted if not any(f"{name}__".startswith(f"{at}__") for at in shown)], model

        for role, client in world.clients.items():
            if not page.has_view_permission(page_request(world.users[role])):
                continue
            answer = ask(client, model, truths)
            assert answer[:2] == (400, str(len(set(lookups) - accepted))), (model, role)
            assert model not in SECRETS or ask(client, model, lies) == answer, (model, role)
            walked.append(role)
    assert {role: walked.count(role) > 3 for role in world.clients} == dict.fromkeys(world.clients, True)


@pytest.mark.parametrize("query", ["seed__regex=^.0", "id__gt=0", "no_such=1", "state__exact=live"])
def test_a_page_that_is_closed_shows_nothing_with_any_filter(query: str) -> None:
    factories.campaign(factories.store())

    assert rows.log_in().get(f"{list_of(Campaign)}?{query}").status_code == 403
    assert Client().get(f"{list_of(Campaign)}?{query}").status_code == 302


def find_guess(values: dict[str, tuple[str, str]], name: str) -> tuple[str, str]:
    """A right and a wrong value for the column of a lookup, where a row of the model has one."""
    if name.endswith("__year"):
        return "2026", "2025"
    return values.get(name) or values.get(name.rpartition("__")[0]) or ("1", "0")


def test_the_columns_that_lookups_lead_to_are_shown() -> None:
    request = operator_request()
    for model, page in PAGES.items():
        for name in list_lookups(page, request):
            field = _last_column(model, name)
            assert field is None or field.name not in sealed(field.model, request), (model, name)


def test_secrets_are_on_no_page() -> None:
    request = operator_request()

    assert {model: names - sealed(model, request) for model, names in SECRETS.items()} == {
        model: set() for model in SECRETS
    }


def test_lists_are_ordered_and_searched_by_shown_columns_only() -> None:
    request = operator_request()
    for model, page in PAGES.items():
        changelist = page.get_changelist_instance(request)
        orders = [changelist.get_ordering_field(name) for name in changelist.list_display if name != "action_checkbox"]
        searched = [*page.get_search_fields(request), *getattr(page, "searched_texts", ())]
        for path in (*orders, *searched):
            field = _last_column(model, path) if isinstance(path, str) else None
            # An id is found only if it is known as a whole.
            if field is None or path in getattr(page, "id_search", ()):
                continue
            assert field.name not in sealed(field.model, request), (model, path)


def _last_column(model: type[Model], path: str) -> Field[Any, Any] | None:
    """The column at the end of the path, without what is no name of a field."""
    parts = path.lstrip("-^=@").split("__")
    for end in range(len(parts), 0, -1):
        try:
            last: Any = get_fields_from_path(model, "__".join(parts[:end]))[-1]
        except (FieldDoesNotExist, NotRelationField):
            continue
        return last if isinstance(last, Field) and not last.is_relation else None
    return None


def test_each_filter_of_a_page_may_be_used() -> None:
    request = operator_request()
    for page in PAGES.values():
        expected = {
            name for spec in page.get_changelist_instance(request).filter_specs for name in spec.expected_parameters()
        }
        # A column that is never empty has no filter for it.
        assert expected <= list_lookups(page, request), page


def test_every_page_has_the_base_and_a_page_without_it_is_found() -> None:
    site = admin.AdminSite()
    site.register(Campaign, admin.ModelAdmin)

    assert find_pages_without_base(admin.site) == []
    assert find_pages_without_base(site) == ["ModelAdmin"]


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Campaign, "seed__regex=^.0"),
        (Campaign, "seed__startswith=0"),
        (Campaign, "moments__opens_at__gte=2020-01-01"),
        (Campaign, "salt=x"),
        (Store, "campaigns__seed__isnull=0"),
        (Store, "staff_members__pin_hash__startswith=p"),
        (StaffDevice, "token_digest__gt=0"),
    ],
    ids=str,
)
def test_a_refusal_names_the_parameter_and_leads_back_to_the_list(model: type[Model], query: str) -> None:
    store = factories.store()
    factories.campaign(store)

    answer = rows.partner_manager(store.partner).get(f"{list_of(model)}?{query}&_facets=True&_popup=1&o=1&q=a")

    page = answer.content.decode()
    assert answer.status_code == 400
    assert f"<bdi>{query.partition('=')[0]}</bdi>" in page
    assert f'href="{list_of(model)}"' in page


def test_an_action_over_a_sealed_filter_does_nothing() -> None:
    store = factories.store()
    till = rows.staff_device(store)

    answer = rows.partner_manager(store.partner).post(
        f"{list_of(StaffDevice)}?token_digest__gt=0", {"action": "revoke", "_selected_action": [till.pk]}
    )

    till.refresh_from_db()
    assert (answer.status_code, till.revoked_at) == (400, None)


def test_a_popup_lists_primary_keys_only() -> None:
    client = rows.operator()
    for model in PAGES:
        for column in columns(model):
            if not model._meta.get_field(column).primary_key:
                page = PAGES[model]
                assert not page.to_field_allowed(page_request(User()), column), (model, column)

    for model in (Campaign, User, StaffMember):
        answer = client.get(list_of(model), {"_popup": "1", "_to_field": SECRETS[model].copy().pop()})
        assert answer.status_code == 400


def test_only_declared_relations_can_be_searched_and_no_relation_breaks_the_search() -> None:
    client = rows.operator()
    offered = set()
    for model in PAGES:
        for field in filter(lambda each: each.is_relation or model is Campaign, model._meta.get_fields()):
            asked = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": field.name}
            answer = client.get(reverse("admin:autocomplete"), asked)
            assert answer.status_code in {200, 403}, asked
            if answer.status_code == 200:
                offered.add(f"{model._meta.model_name}.{field.name}")

    assert {"campaign.stores", "geofence.store", "membership.user", "staffmember.store"} <= offered
    assert not [each for each in offered if each.startswith(("coupon.device", "unlock.device", "user.logentry"))]


@pytest.mark.parametrize("query", ["term=%00", "page=x", "page=-1", "page=99999999999999999999999", "term=%5C%25("])
def test_nonsense_does_not_break_a_search_of_choices(query: str) -> None:
    asked = "app_label=promotions&model_name=staffmember&field_name=store"

    answer = rows.operator().get(f"{reverse('admin:autocomplete')}?{asked}&{query}")

    assert answer.status_code in {200, 400, 404}


def test_the_search_box_finds_pages_and_no_rows() -> None:
    factories.campaign(factories.store(), name="Hidden treasure")

    found = rows.operator().get("/admin/search/", {"s": "treasure", "extended": "1"}).content.decode()

    assert "Hidden" not in found


@pytest.mark.parametrize("path", ["1/1/", "1/x/", "x/1/", "9999999999999999999999/1/"])
def test_no_address_shows_whether_a_row_exists(path: str) -> None:
    assert rows.operator().get(f"/admin/r/{path}").status_code == 404
