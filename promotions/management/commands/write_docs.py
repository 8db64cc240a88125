"""Writes the generated parts of docs/: the API's description, problems, settings, personal data. `--check` compares."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model

from promotions.conf import SETTINGS, Setting
from promotions.http.docs import render_yaml
from promotions.http.lane.fixes import REJECTIONS
from promotions.http.problems import CATALOGUE, FAULTS

_OWN_APPS = ("geofence", "notifications", "promotions")
_PII = re.compile(r"\bpii: (?P<line>.+)\Z", re.DOTALL)


class Command(BaseCommand):
    """`manage.py write_docs [--check]`"""

    help = "Write the generated parts of docs/ from the code; with --check only say which are out of date."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--check`"""
        parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        """Compare or write every file."""
        stale = [path for path, text in generate_docs() if not path.exists() or path.read_text("utf-8") != text]
        if check:
            if stale:
                names = ", ".join(str(path.relative_to(settings.BASE_DIR)) for path in stale)
                raise CommandError(f"Out of date: {names}. Run `make docs`.")
            return
        for path, text in generate_docs():
            path.write_text(text, encoding="utf-8")
        self.stdout.write(f"{len(stale)} file(s) changed.")


def generate_docs() -> Iterator[tuple[Path, str]]:
    """Each generated file and what it should say."""
    folder = Path(settings.BASE_DIR) / "docs"
    for name, describe in DOCUMENTS.items():
        yield folder / name, describe()


def describe_problems() -> str:
    """docs/problems.md"""
    lines = [
        "# Problems",
        "",
        "Every answer that is no success is a problem document (RFC 9457, `application/problem+json`). Programs go by",
        "`code`; `type` leads to this list as the service shows it at `/problems`. `errors` names every fault found,",
        "each with a `pointer`: a JSON Pointer (RFC 6901) into the body, empty for all of it; `?name` for a parameter,",
        "`#Name` for a header.",
        "`request_id` leads the operator to the log. Written by `make docs` from `promotions/http/problems.py`.",
    ]
    for code, kind in sorted(CATALOGUE.items()):
        lines += ["", f"## {code}", "", f"{kind.status} · {kind.title}. {kind.advice}"]
    lines += ["", "## Codes of single faults", "", "What `code` says in an entry of `errors`, the same in every call."]
    lines += ["", "| Code | What is wrong |", "|---|---|"]
    lines += [f"| `{code}` | {_cell(meaning)} |" for code, meaning in sorted(FAULTS.items())]
    lines += [
        "",
        "## Codes of rejected fixes",
        "",
        "What `code` says in an entry of `rejected`, in a 202 of `POST /v1/fixes`.",
    ]
    lines += ["", "| Code | Why the fix was not taken |", "|---|---|"]
    lines += [f"| `{code}` | {_cell(meaning)} |" for code, meaning in sorted(REJECTIONS.items())]
    return "\n".join(lines) + "\n"


def describe_settings() -> str:
    """docs/settings.md"""
    lines = [
        "# Settings",
        "",
        "Environment variables. Every process and command checks all of them when it starts and names each fault.",
        "Settings in **bold** are required outside DEBUG. A secret may also come from the file that `<NAME>_FILE`",
        "names. Written by `make docs` from `promotions/conf/registry.py`.",
        "",
        "| Name | Allowed | Default | Unit | What it does |",
        "|---|---|---|---|---|",
        *(_setting_row(setting) for _name, setting in sorted(SETTINGS.items())),
    ]
    return "\n".join(lines) + "\n"


def _setting_row(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else ""
    name = f"**`{setting.name}`**" if setting.is_required else f"`{setting.name}`"
    name += " (secret)" if setting.is_secret else ""
    return f"| {name} | {_cell(setting.form.allowed)} | {default} | {setting.unit} | {_cell(setting.help)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def describe_privacy() -> str:
    """docs/privacy.md"""
    lines = [
        "# Personal data",
        "",
        "What each table holds of a person, how long, and how it is erased. Raw coordinates live in the stream until",
        "they are worked, 15 minutes at most. A dead letter holds those of requests that came together, for 24 hours,",
        "and no export tells of it; an erasure takes the device's out. A device's last cell, of about one kilometre,",
        "is kept 24 hours. When a visit is dropped, the opportunity or refusal before it keeps for the report that it",
        "came within 30 minutes, 2 hours or 24 hours, or that the device was there already, and no instant of it.",
        "`GET /v1/devices/me/export` tells a device everything below that leads to it; `DELETE /v1/devices/me` erases",
        "it. Written by `make docs` from the models.",
        "",
        "| Table | What it holds; how long; how it is erased |",
        "|---|---|",
        *(f"| {model._meta.label} | {_cell(read_pii(model))} |" for model in own_models()),
    ]
    return "\n".join(lines) + "\n"


def own_models() -> list[type[Model]]:
    """The models of the three apps, in order of their names."""
    models = [model for label in _OWN_APPS for model in apps.get_app_config(label).get_models()]
    return sorted(models, key=lambda model: model._meta.label)


def read_pii(model: type[Model]) -> str:
    """What follows `pii:` at the end of a model's docstring; empty when there is nothing."""
    found = _PII.search(inspect.getdoc(model) or "")
    return found["line"].strip() if found else ""


DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "openapi.yaml": lambda: render_yaml().decode("utf-8"),
    "problems.md": describe_problems,
    "settings.md": describe_settings,
    "privacy.md": describe_privacy,
}
