"""Campaigns and their hours and prizes are written in `services/campaigns` only."""

import ast
import re
from collections.abc import Iterator, Sequence

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory

from promotions.mechanics.instant_win.models import PrizeLot
from promotions.models import Campaign, TimeWindow
from tests.architecture.test_tree import PRODUCT, ROOT
from tests.architecture.trees import list_nodes

GUARDED = {"Campaign", "TimeWindow", "PrizeLot"}
MAY_WRITE = "promotions/services/campaigns/"
OUTSIDE = [path for path in PRODUCT if not str(path.relative_to(ROOT)).startswith(MAY_WRITE)]
WRITES = re.compile(r"a?(save|create|update|delete|get_or_create|update_or_create|bulk_create|bulk_update|raw)")
RELATED_WRITES = re.compile(r"a?(create|set|add|remove|clear|update|delete|get_or_create|update_or_create|bulk_create)")
# Related managers that lead to a campaign, or from one to its rows.
RELATED = {"campaigns", "windows", "prize_lots", "stores"}
SQL = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+promotions_(?:campaign(?:_stores)?|timewindow|prizelot)\b",
    re.IGNORECASE,
)


def names(node: ast.AST) -> Iterator[str]:
    """Yield the names of a chain such as `Campaign.objects.filter(…).update`, outermost first."""
    while isinstance(node, ast.Attribute | ast.Call):
        if isinstance(node, ast.Attribute):
            yield node.attr
            node = node.value
        else:
            node = node.func
    if isinstance(node, ast.Name):
        yield node.id


def find_others(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the names of rule values in this file, such as the `TimeWindow` of `logic/schedule.py`."""
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and "logic" in (node.module or "")]
    top = [node for module in nodes if isinstance(module, ast.Module) for node in module.body]
    classes = {node.name for node in top if isinstance(node, ast.ClassDef) and not node.bases}
    return classes | {alias.name for node in imports for alias in node.names}


def is_write(call: ast.Call, guarded: set[str]) -> bool:
    verb, *chain = [*names(call.func), ""]
    if verb in guarded:
        return True
    if set(chain) & guarded:
        return WRITES.fullmatch(verb) is not None
    if set(chain) & RELATED:
        return RELATED_WRITES.fullmatch(verb) is not None
    return verb in {"save", "asave", "delete", "adelete"} and any(name.endswith("campaign") for name in chain)


def find_writes(nodes: Sequence[ast.AST]) -> list[int]:
    """Return the lines that write a campaign."""
    guarded = GUARDED - find_others(nodes)
    calls = [node.lineno for node in nodes if isinstance(node, ast.Call) and is_write(node, guarded)]
    texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return sorted([*calls, *(node.lineno for node in texts if SQL.search(str(node.value)))])


def test_only_the_campaign_services_write_campaigns() -> None:
    found = {str(path.relative_to(ROOT)): find_writes(list_nodes(path)) for path in OUTSIDE}

    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "Campaign.objects.create(name='x')",
        "Campaign.objects.filter(pk=1).update(name='x')",
        "models.Campaign._default_manager.filter(pk=1).exclude(pk=2).delete()",
        "Campaign.objects.bulk_create(rows)",
        "Campaign(name='x')",
        "campaign.save(update_fields=['name'])",
        "self.campaign.save()",
        "coupon.campaign.delete()",
        "brand.campaigns.create(name='x')",
        "campaign.stores.remove(store)",
        "campaign.windows.all().delete()",
        "TimeWindow.objects.create(campaign=campaign)",
        "PrizeLot(name='x')",
        "cursor.execute('UPDATE promotions_campaign SET name = %s', ['x'])",
        "STATEMENT = 'insert into promotions_campaign_stores VALUES (1, 2)'",
    ],
)
def test_each_way_to_write_one_is_found(line: str) -> None:
    assert find_writes(list(ast.walk(ast.parse(line)))) == [1]


@pytest.mark.parametrize(
    "line",
    [
        "Campaign.objects.filter(pk=1).first()",
        "Campaign.objects.select_for_update().get(pk=1)",
        "campaign.stores.all()",
        "Coupon.objects.filter(campaign=campaign).update(recalled_at=now)",
        "coupon.save()",
        "SQL = 'SELECT 1 FROM promotions_campaign FOR UPDATE'",
    ],
)
def test_reading_one_is_no_write(line: str) -> None:
    assert find_writes(list(ast.walk(ast.parse(line)))) == []


def test_only_the_campaign_page_edits_one_in_admin(rf: RequestFactory, admin_user: User) -> None:
    request = rf.get("/")
    request.user = admin_user
    pages = [admin.site.get_model_admin(TimeWindow), admin.site.get_model_admin(PrizeLot)]

    assert type(admin.site.get_model_admin(Campaign)).save_model.__qualname__ == "CampaignAdmin.save_model"
    for page in pages:
        assert page.has_view_permission(request)
        assert not page.has_add_permission(request)
        assert not page.has_change_permission(request)
        assert not page.has_delete_permission(request)
