"""Checks an answer against the OpenAPI description: documented status, media type and body."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker


@cache
def description() -> dict[str, Any]:
    """The description of the code as it stands, generated once per run."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    # Literal paths before those with parameters, as a router would match them.
    paths = sorted(description()["paths"], key=lambda path: (path.count("{"), path))
    return [(re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path))), path) for path in paths]


def find_operation(method: str, path: str) -> Mapping[str, Any] | None:
    """The operation that a request belongs to, or None when it is none of ours."""
    for pattern, template in _patterns():
        if pattern.fullmatch(path):
            found: Mapping[str, Any] | None = description()["paths"][template].get(method.lower())
            return found
    return None


def example_of(path: str) -> dict[str, Any]:
    """The one example of a POST's body."""
    media = description()["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    (example,) = media["examples"].values()
    value: dict[str, Any] = example["value"]
    return value


@cache
def _validator(reference: str) -> Draft202012Validator:
    schema = {**json.loads(reference), "components": description()["components"]}
    return Draft202012Validator(schema, format_checker=FormatChecker())


def find_breaches(*, method: str, path: str, status: int, content_type: str, body: bytes) -> list[str]:
    """What an answer does that the description does not say."""
    operation = find_operation(method, path)
    if operation is None:
        return []
    responses = operation["responses"]
    response = responses.get(str(status), responses.get("default"))
    if response is None:
        return [f"{method} {path}: status {status} is not documented; body {body[:300]!r}"]
    content = response.get("content")
    if not content:
        return [f"{method} {path}: a body with {status}, which documents none"] if body else []
    media_type = content_type.partition(";")[0].strip()
    if media_type not in content:
        return [f"{method} {path}: {status} came as {media_type!r}, documented are {sorted(content)}"]
    if not media_type.endswith("json"):
        return []
    validator = _validator(json.dumps(content[media_type]["schema"], sort_keys=True))
    return [
        f"{method} {path}: {status} at /{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in validator.iter_errors(json.loads(body))
    ]
