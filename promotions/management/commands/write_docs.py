"""Write the generated parts of docs/: OpenAPI, problems, settings, personal data, imports. `--check` compares."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model

from promotions.checks import list_own_models
from promotions.conf import SETTINGS, Setting
from promotions.http.docs import render_yaml
from promotions.http.lane.fixes import REJECTIONS
from promotions.http.problems import CATALOGUE, FAULTS
from promotions.row_policies import (
    Cascade,
    Delete,
    Detach,
    ErasedBy,
    Erasure,
    ExpiredBy,
    Export,
    ExportedBy,
    Forever,
    Keep,
    NotExported,
    NotPersonal,
    Remains,
    Retention,
    Subject,
    WithParent,
)
from promotions.row_policies.queries import read_policy
from promotions.services.imports import segments, stores

# Modules, so that a list of columns is read when it is needed.
_IMPORTS = (
    ("Stores", "manage.py import_stores FILE --partner NAME", stores),
    ("Segments of devices", "manage.py import_segments FILE", segments),
)
_PII = re.compile(r"\bpii: (?P<line>.+)\Z", re.DOTALL)


class Command(BaseCommand):
    """`manage.py write_docs [--check]`"""

    help = "Write the generated parts of docs/ from the code. With --check, only list those that are out of date."

    def add_arguments(self, parser: CommandParser) -> None:
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
    """Yield each generated file and its text."""
    folder = Path(settings.BASE_DIR) / "docs"
    for name, describe in DOCUMENTS.items():
        yield folder / name, describe()


def describe_problems() -> str:
    """docs/problems.md"""
    lines = [
        "# Problems",
        "",
        "Every error response is a problem document (RFC 9457, `application/problem+json`). Programs should use",
        "`code`. `type` links to this list, which the service serves at `/problems`. `errors` lists every fault,",
        "each with a `pointer`: a JSON Pointer (RFC 6901) into the body, empty for the whole body; `?name` for a",
        "parameter, `#Name` for a header. `request_id` identifies the request in the log. `make docs` writes this file",
        "from `promotions/http/problems.py`.",
    ]
    for code, kind in sorted(CATALOGUE.items()):
        lines += ["", f"## {code}", "", f"{kind.status} · {kind.title}. {kind.advice}"]
    lines += ["", "## Codes of single faults", "", "Values of `code` in an entry of `errors`, the same in every call."]
    lines += ["", "| Code | What is wrong |", "|---|---|"]
    lines += [f"| `{code}` | {_cell(meaning)} |" for code, meaning in sorted(FAULTS.items())]
    lines += [
        "",
        "## Codes of rejected fixes",
        "",
        "Values of `code` in an entry of `rejected`, in a 202 of `POST /v1/fixes`.",
    ]
    lines += ["", "| Code | Why the fix was rejected |", "|---|---|"]
    lines += [f"| `{code}` | {_cell(meaning)} |" for code, meaning in sorted(REJECTIONS.items())]
    return "\n".join(lines) + "\n"


def describe_settings() -> str:
    """docs/settings.md"""
    lines = [
        "# Settings",
        "",
        "Settings are environment variables. Every process and command checks all of them at start and reports each",
        "fault. Settings in **bold** are required outside DEBUG. A secret can also be read from a file, whose path is",
        "in `<NAME>_FILE`. `make docs` writes this file from `promotions/conf/rules.py` and `servers.py`.",
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
        "Personal data in each table, how long it is kept, and how it is erased. Raw coordinates stay in the stream",
        "until they are processed, 15 minutes at most. A dead letter keeps the coordinates of requests that came",
        "together, for 24 hours. No export contains them; an erasure removes the part of the device. A device's last",
        "cell, of about one kilometre, is kept 24 hours. When a visit is dropped, the opportunity or refusal before",
        "it keeps, for the report, that the visit came within 30 minutes, 2 hours or 24 hours, or that the device",
        "was already there, but no time. The event log keeps where and when a visit was confirmed, as long as its",
        "other events. `GET /v1/devices/me/export` returns everything below that leads to the device, except where",
        "the last column gives a reason. `DELETE /v1/devices/me` erases it. `make docs` writes this file from the",
        "models (`pii:` and `row_policy`).",
        "",
        "No table and no log line contains a network address. Unlocks and reservations are counted per network in",
        "Redis, under a digest whose key is random, changes daily and is deleted within 25 hours",
        "([why](decisions/0046-a-network-has-a-budget.md)).",
        "",
        "| Table | Personal data | Kept | Erased with the device | Exported |",
        "|---|---|---|---|---|",
        *(_privacy_row(model) for model in list_own_models()),
    ]
    return "\n".join(lines) + "\n"


def _privacy_row(model: type[Model]) -> str:
    policy = read_policy(model)
    cells = [
        read_pii(model).removesuffix("."),
        _describe_retention(policy.retention),
        _describe_erasure(policy.erasure),
        _describe_export(policy.export),
    ]
    return f"| {model._meta.label} | {' | '.join(_cell(cell) for cell in cells)} |"


def _describe_retention(retention: Retention) -> str:
    match retention:
        case Keep():
            return _describe_life(retention)
        case ExpiredBy(until=until):
            return until
        case WithParent(parent=parent):
            return f"as long as its `{parent}`"
        case Forever(why=why):
            return why


def _describe_life(keep: Keep) -> str:
    amounts = [f"{keep.days} days"] * bool(keep.days) + [f"{keep.hours} hours"] * bool(keep.hours)
    amounts += [f"`{keep.seconds_setting}`"] * bool(keep.seconds_setting)
    life = f"{' and '.join(amounts)} after `{keep.by}`" if amounts else f"until `{keep.by}`"
    if keep.not_before:
        days = f"{keep.not_before_days} days after " if keep.not_before_days else ""
        life += f", not before {days}`{keep.not_before}`"
    life += f", or as long as its `{keep.or_with_parent}`" if keep.or_with_parent else ""
    return f"{life}; {keep.blanked.what} {keep.blanked.hours} hours" if keep.blanked else life


def _describe_erasure(erasure: Erasure) -> str:
    match erasure:
        case Delete():
            return "deleted"
        case Cascade(by=by, first=first):
            parent = by.split("__")[0].removesuffix("_id")
            return f"deleted with its `{parent}`" + (f", after `{first.rsplit('.', 1)[1]}`" if first else "")
        case Detach(by=by):
            return f"`{by.split('__')[0]}` is emptied"
        case ErasedBy(function=function):
            return f"by `{function.rsplit('.', 1)[1]}`"
        case Subject():
            return "deleted last"
        case Remains(why=why):
            return f"not erased: {why}"
        case NotPersonal():
            return ""


def _describe_export(export: Export | ExportedBy | NotExported | None) -> str:
    match export:
        case NotExported(why=why):
            return f"no: {why}"
        case None:
            return ""
        case _:
            return "yes"


def describe_imports() -> str:
    """docs/imports.md"""
    lines = [
        "# Imports",
        "",
        "Two commands read CSV files. The first line contains the headings below, in any order. Cells are separated by",
        "comma, semicolon or tab, numbers may have a decimal comma, the text is UTF-8 or Windows-1252, and a file has",
        "at most 50,000 lines and 5 MB. If a line has a fault, nothing is imported, and every fault is listed with its",
        "line and column. The same file again changes nothing. `--dry-run` checks a file. `make docs` writes this page",
        "from the columns in `promotions/services/imports/`.",
    ]
    for title, command, module in _IMPORTS:
        lines += [
            "",
            f"## {title}",
            "",
            f"`{command} [--dry-run]`",
            "",
            "| Column | Required | Content |",
            "|---|---|---|",
        ]
        lines += [
            f"| `{column.name}` | {'yes' if column.is_required else ''} | {_cell(column.help)} |"
            for column in module.COLUMNS
        ]
    return "\n".join(lines) + "\n"


def read_pii(model: type[Model]) -> str:
    """Return the text after `pii:` at the end of a model's docstring, or an empty text."""
    found = _PII.search(inspect.getdoc(model) or "")
    return found["line"].strip() if found else ""


DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "openapi.yaml": lambda: render_yaml().decode("utf-8"),
    "problems.md": describe_problems,
    "settings.md": describe_settings,
    "privacy.md": describe_privacy,
    "imports.md": describe_imports,
}
