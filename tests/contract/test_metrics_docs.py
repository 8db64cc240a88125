"""Figures, dashboard, alarms and runbook agree with the code and with each other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from prometheus_client import REGISTRY

from notifications import metrics as notification_metrics
from promotions import metrics, pipeline
from promotions.http.gauges import GAUGES

DOCS = Path(settings.BASE_DIR) / "docs"
RUNBOOK = DOCS / "runbook"
PAGES = sorted(RUNBOOK.glob("*.md"))
HEADINGS = ["What you see", "Why", "What to do", "Over when"]
PLACES = {"web", "worker", "at the scrape"}
# Where figures are counted; importing them registers them.
COUNTED_IN = (metrics, pipeline, notification_metrics)


def registered() -> dict[str, tuple[str, str, str]]:
    """Name as Prometheus sees it → type, labels and meaning."""
    found = {f"doorstep_{name}": ("gauge", labels, meaning) for name, (labels, meaning) in GAUGES.items()}
    for collector in REGISTRY._collector_to_names:
        name = getattr(collector, "_name", "")
        if name.startswith("doorstep_"):
            kind: Any = collector
            suffix = "_total" if kind._type == "counter" else ""
            found[name + suffix] = (kind._type, kind._labelnames, kind._documentation)
    return {
        name: (kind, ", ".join(f"`{label}`" for label in labels), meaning)
        for name, (kind, labels, meaning) in found.items()
    }


def sample_names() -> set[str]:
    names = set()
    for name, (kind, _labels, _meaning) in registered().items():
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def documented() -> dict[str, tuple[str, str, str, str]]:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(doorstep_\w+)` \| (.*?) \| (\w+) \| (.*?) \| (.+) \|$", text, re.MULTILINE)
    assert len({name for name, *_rest in rows}) == len(rows)
    return {name: (place, kind, labels, meaning) for name, place, kind, labels, meaning in rows}


def test_the_table_is_what_is_counted() -> None:
    assert COUNTED_IN

    reported = {name: (kind, labels.strip(), meaning) for name, (_place, kind, labels, meaning) in documented().items()}

    assert reported == registered()


def test_every_metric_names_its_process() -> None:
    places = {name: place for name, (place, *_rest) in documented().items()}

    assert set(places.values()) == PLACES
    assert {name for name, place in places.items() if place == "at the scrape"} == {
        f"doorstep_{name}" for name in GAUGES
    }


@pytest.mark.parametrize("verb", ["accept_fixes", "advance_presence", "load_facts", "decide", "record", "enqueue"])
def test_every_verb_is_timed_under_its_own_name(verb: str) -> None:
    assert registered()[f"doorstep_{verb}_seconds"][0] == "histogram"


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DOCS / "grafana" / "doorstep.json").read_text(encoding="utf-8"))
    return loaded


def alarms() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((DOCS / "grafana" / "alarms.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def drawn() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def test_the_dashboard_asks_the_data_source_that_is_chosen() -> None:
    [variable] = dashboard()["templating"]["list"]

    sources = {panel["datasource"]["uid"] for panel in drawn()}
    sources |= {target["datasource"]["uid"] for panel in drawn() for target in panel["targets"]}

    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    assert sources == {f"${{{variable['name']}}}"}


def test_the_dashboards_panels_have_a_place_and_a_name_of_their_own() -> None:
    panels = dashboard()["panels"]
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _y in taken) < 24
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


def expressions() -> Iterator[str]:
    yield from (target["expr"] for panel in drawn() for target in panel["targets"])
    yield from (alarm["expr"] for alarm in alarms())


def test_dashboard_and_alarms_ask_for_figures_that_exist() -> None:
    requested = {name for expression in expressions() for name in re.findall(r"doorstep_\w+", expression)}

    assert requested - sample_names() == set()


def test_every_figure_is_seen_on_the_dashboard() -> None:
    text = " ".join(target["expr"] for panel in drawn() for target in panel["targets"])

    unseen = [name for name in registered() if name not in text]

    assert unseen == []


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_brackets_are_closed_and_labels_exist(expression: str) -> None:
    labels = set(re.findall(r"`(\w+)`", " ".join(labels for _kind, labels, _meaning in registered().values())))

    used = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    used |= set(re.findall(r"[{,](\w+)=", expression))

    assert all(expression.count(left) == expression.count(right) for left, right in ("()", "[]", "{}"))
    assert used - labels - {"le"} == set()


def test_every_alarm_has_its_page_and_every_page_its_alarm() -> None:
    named = {alarm["alert"]: Path(alarm["annotations"]["runbook"]).name for alarm in alarms()}
    leads = {page.name: page.read_text(encoding="utf-8").split("\n")[2] for page in PAGES}
    alarmed = {name: lead for name, lead in leads.items() if lead.startswith("Alarm: ")}
    reported = {alarm: name for name, lead in alarmed.items() for alarm in re.findall(r"`(\w+)`", lead)}

    assert named == reported
    assert set(named.values()) == alarmed.keys()
    # The doctor finds the others.
    assert all(lead.startswith("Found by: `manage.py doctor`") for name, lead in leads.items() if name not in alarmed)
    table = re.findall(
        r"^\| (\w+) \| \[[\w-]+\]\(runbook/([\w.-]+)\) \|$",
        (DOCS / "metrics.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert dict(table) == named


@pytest.mark.parametrize("alarm", alarms(), ids=lambda alarm: alarm["alert"])
def test_an_alarm_is_complete(alarm: dict[str, Any]) -> None:
    assert set(alarm) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", alarm["for"])
    assert alarm["labels"]["severity"] in {"warning", "critical"}
    assert alarm["annotations"]["summary"].endswith(".")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_the_alarm_its_reason_the_steps_and_the_end(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    sections = dict(re.findall(r"^## (.+)\n\n((?:(?!^## ).*\n)+)", text, re.MULTILINE))

    assert list(sections) == HEADINGS
    assert all(len(body.strip()) > 20 for body in sections.values())
    assert set(re.findall(r"`(doorstep_\w+)", text)) <= set(registered())
