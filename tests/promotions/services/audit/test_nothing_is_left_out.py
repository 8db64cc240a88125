"""Every action, editable model, call and command leaves a record. The lists come from the registries.

A new action is pressed by its name; a new call or command fails until it is entered here.
"""

from collections.abc import Callable
from typing import Any

import pytest
from celery import shared_task
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import get_commands
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLPattern, URLResolver

from geofence.models import Partner, Store
from promotions import command_line
from promotions.celery import app
from promotions.database.acting import Actor, ActorKind, Deed, acting
from promotions.http.views import ApiView
from promotions.models import AuditRecord, Brand, Campaign, OfflineScan, Redemption, SpentPresenceToken
from promotions.row_policies.audits import find_audit
from promotions.services.till.staff_devices import create_enrolment
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.http.staff import tills

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now", "redis_prefix")]

PAGES = [(model, page) for model, page in admin.site._registry.items() if model._meta.app_label != "admin"]
REASON = {"reason": "The offer was misprinted.", "note": "The customer came back."}
UNUSED: dict[type[Model], Callable[[], Model]] = {Brand: factories.brand, Partner: factories.partner}
# The state in which a button is shown.
STATES = {"open_now": "draft", "pause": "live", "resume": "paused", "end": "live", "recall": "ended"}


def list_actions() -> list[tuple[type[Model], str, str]]:
    """The model, the name and the place of each action that the operator has."""
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_active=True, is_staff=True, pk=1)
    found = []
    for model, page in PAGES:
        found += [(model, name, "selected") for name in page.get_actions(request)]
        for place in ("detail", "list", "row", "submit_line"):
            names = page._extract_action_names(getattr(page, f"actions_{place}"))  # type: ignore[attr-defined]
            found += [(model, name, place) for name in names]
    return sorted(found, key=str)


def test_the_walk_finds_every_decorated_action() -> None:
    decorated = {
        (model, name)
        for model, page in PAGES
        for name in dir(type(page))
        # The marks of Django's decorator and of unfold's.
        if hasattr(getattr(type(page), name), "allowed_permissions")
    }

    assert decorated <= {(model, name) for model, name, _ in list_actions()}
    assert len(decorated) >= 14


def make(model: type[Model]) -> Any:
    """A row with which each action can be done: brands and partners in use cannot be deleted."""
    if model in UNUSED:
        return UNUSED[model]()
    return rows.make(model) if model in rows.MAKERS else model._default_manager.get()


def name_address(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def perform(client: Client, row: Any, name: str, place: str) -> Any:
    """Do an action as its page does it, with a reason in case it asks."""
    form: dict[str, Any] = {"_form_submitted": "on", **REASON}
    if isinstance(row, Redemption):
        form["reason"] = "returned"
    if place == "selected":
        form |= {"action": name, "_selected_action": [row.pk], "post": "yes"}
        return client.post(name_address(type(row), "changelist"), form)
    return client.post(name_address(type(row), name, *([row.pk] if place in ("detail", "row") else [])), form)


@pytest.mark.parametrize(("model", "name", "place"), list_actions(), ids=str)
def test_each_action_in_admin_leaves_a_record(model: type[Model], name: str, place: str) -> None:
    client, row = rows.operator(), make(model)
    if isinstance(row, Campaign):
        Campaign.objects.filter(pk=row.pk).update(state=STATES.get(name, "draft"), opened_at=NOW)
    known = AuditRecord.objects.latest("pk").pk

    answer = perform(client, row, name, place)

    assert answer.status_code < 400, answer
    records = AuditRecord.objects.filter(pk__gt=known, action=f"admin {model._meta.label_lower} {name}")
    assert records, "The action left no record."
    assert {(record.actor_kind, record.actor_id) for record in records} == {("user", client.session["_auth_user_id"])}


def is_editable(page: Any, verb: str) -> bool:
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_active=True, is_staff=True, pk=1)
    return bool(getattr(page, f"has_{verb}_permission")(request))


def list_forms() -> list[tuple[type[Model], str]]:
    """Each model with a form, or with inline rows in one, and the operations of that form."""
    found = set()
    verbs = {"add": "insert", "change": "update", "delete": "delete"}
    for model, page in PAGES:
        edited = [model, *(inline.model for inline in page.inlines)]
        found |= {(each, verbs[verb]) for verb in verbs if is_editable(page, verb) for each in edited}
    return sorted(found, key=str)


@pytest.mark.parametrize(("model", "operation"), list_forms(), ids=str)
def test_each_form_edits_an_audited_table(model: type[Model], operation: str) -> None:
    audit = find_audit(model)

    assert audit is not None, "It can be edited in admin: declare `audit` in its row policy."
    assert operation in audit.operations


@pytest.mark.parametrize("model", sorted({model for model, _ in list_forms()}, key=str), ids=str)
def test_each_row_that_can_be_edited_is_recorded_under_its_actor(model: type[Model]) -> None:
    with acting(Deed("edit", lambda: Actor(ActorKind.USER, "7"))):
        row = rows.make(model)

    record = AuditRecord.objects.get(subject=model._meta.label_lower, subject_id=str(row.pk), operation="insert")
    assert (record.actor_kind, record.actor_id) == ("user", "7")


@pytest.fixture
def toy_page(monkeypatch: pytest.MonkeyPatch) -> str:
    """An action that changes nothing of which the audit knows, and knows nothing of the audit."""

    def shake(page: Any, request: Any, queryset: Any) -> None:
        """Do something elsewhere."""

    monkeypatch.setattr(admin.site._registry[Redemption], "actions", [shake])
    return "shake"


def test_an_action_that_changes_no_audited_table_is_recorded_with_what_was_selected(toy_page: str) -> None:
    client, store = rows.operator(), factories.store()
    chosen = [rows.redemption(factories.campaign(store), store) for _ in range(2)]
    form = {"action": toy_page, "_selected_action": [row.pk for row in chosen]}

    client.post(reverse("admin:promotions_redemption_changelist"), form, headers={"X-Request-Id": "request-1234"})

    record = AuditRecord.objects.get(action="admin promotions.redemption shake")
    assert (record.operation, record.request_id) == ("action", "request-1234")
    assert all(str(row.pk) in record.changes["selected"][1] for row in chosen)


def test_a_repeated_request_id_hides_no_action(toy_page: str) -> None:
    client = rows.operator()
    row = rows.redemption(factories.campaign(), factories.store())
    form = {"action": toy_page, "_selected_action": [row.pk]}

    for _ in range(2):
        client.post(reverse("admin:promotions_redemption_changelist"), form, headers={"X-Request-Id": "request-1234"})

    assert AuditRecord.objects.filter(request_id="request-1234").count() == 2


# The API: each call that can change something, and the record it leaves.

Call = Callable[[tills.Till, Store], object]


def enrol(_till: tills.Till, store: Store) -> object:
    token = create_enrolment(store=store, label="new", is_manager=False, user=None, now=NOW)
    return Client().post("/v1/staff/enrolments", {"token": token}, content_type="application/json")


def sign_in(till: tills.Till, store: Store) -> object:
    from promotions.services.till.staff_members import set_pin

    member = rows.staff_member(store, initials="AB")
    set_pin(member=member, pin="482913")
    return till.post("sessions", {"initials": "AB", "pin": "482913"})


def sign_out(till: tills.Till, store: Store) -> object:
    sign_in(till, store)
    return Client().delete("/v1/staff/sessions", headers={"Authorization": f"Bearer {till.access_token}"})


def void(till: tills.Till, store: Store) -> object:
    row = rows.redemption(factories.campaign(store), store)
    Redemption.objects.filter(pk=row.pk).update(staff_device=till.row)
    return till.post(f"redemptions/{row.pk}/void", {"reason": "mistake"})


# The route and method, the call, and the actor of its last record.
AUDITED: dict[tuple[str, str], tuple[Call, str]] = {
    ("staff/enrolments", "post"): (enrol, "enrolment"),
    ("staff/sessions", "post"): (sign_in, "till"),
    ("staff/sessions", "delete"): (sign_out, "till"),
    ("staff/redemptions/<id:redemption_id>/void", "post"): (void, "till"),
}
# Calls of each customer's turn: each writes a row that names the till or the brand, and no configuration.
OWN_ROWS: dict[tuple[str, str], tuple[type[Model], str] | None] = {
    ("staff/redemptions", "post"): (Redemption, "staff_device"),
    ("staff/scans", "post"): (OfflineScan, "staff_device"),
    ("presence-tokens/spend", "post"): (SpentPresenceToken, "brand"),
    # Hands out keys and changes nothing but the time of the last synchronization.
    ("staff/sync", "post"): None,
}


def list_calls() -> set[tuple[str, str]]:
    """The routes and methods of staff and brands that are not safe."""

    def walk(patterns: Any, prefix: str) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                found |= walk(pattern.url_patterns, prefix + str(pattern.pattern))
            elif isinstance(pattern, URLPattern) and hasattr(pattern.callback, "view_class"):
                view = pattern.callback.view_class
                for method in ("post", "put", "patch", "delete"):
                    is_ours = issubclass(view, ApiView) and not view.__module__.startswith("promotions.http.device")
                    if is_ours and hasattr(view, method):
                        found.add((f"{prefix}{pattern.pattern}".removeprefix("v1/"), method))
        return found

    return {call for call in walk(get_resolver().url_patterns, "") if not call[0].startswith("admin")}


def test_every_call_of_staff_and_brands_is_entered_here() -> None:
    assert list_calls() == set(AUDITED) | set(OWN_ROWS)


@pytest.mark.parametrize("call", AUDITED, ids=str)
def test_each_call_that_changes_rights_leaves_a_record(call: tuple[str, str]) -> None:
    store = factories.store()
    till = tills.till(store, is_manager=True)
    perform_call, kind = AUDITED[call]
    known = AuditRecord.objects.latest("pk").pk

    answer: Any = perform_call(till, store)

    assert answer.status_code < 300, answer.content
    record = AuditRecord.objects.filter(pk__gt=known).exclude(actor_kind="database").latest("pk")
    assert record.actor_kind == kind
    assert record.action == f"{call[1].upper()} /v1/{call[0]}"
    assert record.request_id
    assert kind != "till" or record.actor_id == str(till.row.pk)


@pytest.mark.parametrize("call", [call for call, row in OWN_ROWS.items() if row], ids=str)
def test_each_other_call_writes_a_row_that_names_the_credential(call: tuple[str, str]) -> None:
    row = OWN_ROWS[call]

    assert row is not None
    assert not row[0]._meta.get_field(row[1]).null


# Commands and tasks.

READ_ONLY = {
    "announce_run", "choose_data", "doctor", "prove_draw", "restore_drill", "screenshots", "verify_draw", "write_docs",
}  # fmt: skip
WRITING = {
    "after_restore", "demo", "drop_expired", "import_segments", "import_stores", "migrate", "remove_factors",
    "seed_demo",
}  # fmt: skip


def test_every_command_is_entered_here() -> None:
    ours = {name for name, package in get_commands().items() if package == "promotions"}

    assert ours == READ_ONLY | WRITING


def run_command(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    monkeypatch.setattr(command_line, "execute_from_command_line", lambda _arguments: work())
    command_line.run(["manage.py", "toy", "--with", "a secret"])


def test_what_a_command_changes_names_the_command_and_the_user_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "jeanne")

    run_command(monkeypatch, lambda: factories.brand(name="Made"))

    record = AuditRecord.objects.get(subject="promotions.brand")
    assert (record.actor_kind, record.action) == ("command", "manage.py toy")
    assert record.actor_id.endswith(" (sudo: jeanne)")
    assert record.actor_id.split()[0] not in ("", "(sudo:")


def test_a_command_that_changes_other_tables_leaves_a_record_also_when_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        factories.device()
        raise KeyError

    with pytest.raises(KeyError):
        run_command(monkeypatch, fail)

    record = AuditRecord.objects.get(actor_kind="command")
    assert (record.operation, record.action, record.changes) == ("action", "manage.py toy", {})


def test_a_command_that_only_reads_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    run_command(monkeypatch, lambda: list(Brand.objects.all()))

    assert not AuditRecord.objects.filter(actor_kind="command")


@pytest.mark.django_db(transaction=True)
def test_what_a_task_changes_names_the_task_and_no_later_change() -> None:
    brand = factories.brand()

    @shared_task(name="toy.rename")
    def rename() -> None:
        Brand.objects.filter(pk=brand.pk).update(name="By the task")

    rename.apply(task_id="task-1")
    Brand.objects.filter(pk=brand.pk).update(name="After it")
    del app.tasks["toy.rename"]

    first, second = AuditRecord.objects.filter(subject="promotions.brand", operation="update").order_by("pk")
    assert (first.actor_kind, first.actor_id, first.request_id) == ("task", "toy.rename", "task-1")
    assert second.actor_kind == "database"
