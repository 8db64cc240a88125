"""The admin's menu: sections, and a line for each model that declares one (`row_policy.menu`)."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from promotions.row_policies import Menu, Section
from promotions.row_policies.queries import list_declared, read_policy

_TITLES = {
    Section.CAMPAIGNS: _("Campaigns"),
    Section.PLACES: _("Places"),
    Section.TILL: _("At the till"),
    Section.FACTS: _("Facts"),
    Section.OPERATIONS: _("Operations"),
}
_COLLAPSIBLE = {Section.FACTS, Section.OPERATIONS}
# The page of the till signals is below that of the redemptions, and has a line in the menu too.
_IS_ACTIVE: dict[str, Callable[[HttpRequest], bool]] = {
    "promotions.redemption": lambda request: (
        "/redemption/" in request.path and "/redemption/signals/" not in request.path
    ),
}


def build_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the menu: the overview, then each section with the lines of its models and those below."""
    lines = [*_list_declared_lines(), *_list_other_lines()]
    sections = [
        {
            "title": title,
            "collapsible": section in _COLLAPSIBLE,
            "items": [line for at, _position, line in sorted(lines, key=lambda line: line[1]) if at is section],
        }
        for section, title in _TITLES.items()
    ]
    overview = {"title": _("Overview"), "icon": "dashboard", "link": reverse_lazy("admin:index")}
    return [{"items": [overview]}, *sections]


def list_account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the links of the menu of the user's own account."""
    return [{"title": _("Your account"), "link": reverse_lazy("account")}]


_Line = tuple[Section, int, dict[str, Any]]


def _list_declared_lines() -> list[_Line]:
    lines = []
    for model in list_declared():
        menu, label = read_policy(model).menu, model._meta.label_lower
        if isinstance(menu, Menu):
            line = _make_line(label, menu.title, menu.icon)
            if label in _IS_ACTIVE:
                line["active"] = _IS_ACTIVE[label]
            lines.append((menu.section, menu.position, line))
    return lines


def _list_other_lines() -> list[_Line]:
    """Return the lines of Django's own models, and of pages that list no model."""
    signals = _make_line("promotions.redemption", _("Till signals"), "flag")
    signals["link"] = reverse_lazy("admin:promotions_redemption_signals")
    return [
        (Section.TILL, 70, signals),
        (Section.OPERATIONS, 10, _make_line("auth.user", _("Users"), "person")),
        (Section.OPERATIONS, 20, _make_line("auth.group", _("Groups"), "badge")),
    ]


def _make_line(label: str, title: object, icon: str) -> dict[str, Any]:
    app_label, model_name = label.split(".")
    link = reverse_lazy(f"admin:{app_label}_{model_name}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": _may_view(app_label, model_name)}


def _may_view(app_label: str, model_name: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(f"{app_label}.view_{model_name}")
