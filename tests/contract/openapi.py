"""Checks an answer against the OpenAPI description: documented status, media type and body."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml
from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker


class Api:
    """A description, ready to check answers against it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        # Literal paths before those with parameters, as a router would match them.
        paths = sorted(document["paths"], key=lambda path: (path.count("{"), path))
        self._document = document
        self._patterns = [(re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path))), path) for path in paths]
        self._validators: dict[str, Draft202012Validator] = {}

    def find_breaches(self, *, method: str, path: str, status: int, content_type: str, body: bytes) -> list[str]:
        """Return what an answer does that the description does not say."""
        operation = self._find_operation(method, path)
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
        return [
            f"{method} {path}: {status} at /{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
            for error in self._validator(content[media_type]["schema"]).iter_errors(json.loads(body))
        ]

    def _find_operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """Return the operation that a request belongs to, or None if there is none."""
        for pattern, template in self._patterns:
            if pattern.fullmatch(path):
                found: Mapping[str, Any] | None = self._document["paths"][template].get(method.lower())
                return found
        return None

    def _validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        name = json.dumps(schema, sort_keys=True)
        if name not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[name] = Draft202012Validator(whole, format_checker=FormatChecker())
        return self._validators[name]


@cache
def description() -> dict[str, Any]:
    """The description of the code as it stands, generated once per run."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]


@cache
def documented_paths() -> dict[str, Any]:
    """The paths of `docs/openapi.yaml`, read once per run by libyaml: Python's own reader takes a second."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load((settings.BASE_DIR / "docs" / "openapi.yaml").read_text(encoding="utf-8"), loader)
    return document["paths"]  # type: ignore[no-any-return]


@cache
def this_api() -> Api:
    """The API of the code as it stands."""
    return Api(description())


def example_of(path: str) -> dict[str, Any]:
    """The one example of a POST's body."""
    media = description()["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    (example,) = media["examples"].values()
    value: dict[str, Any] = example["value"]
    return value


def find_breaches(*, method: str, path: str, status: int, content_type: str, body: bytes) -> list[str]:
    """Return what an answer does that the description of the code does not say."""
    return this_api().find_breaches(method=method, path=path, status=status, content_type=content_type, body=body)
