"""The OpenAPI description matches the requests that the server accepts."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.contract.openapi import description


def _properties() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in description()["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            yield f"{name}.{field}", described


def _fits(schema: Any, value: object) -> bool:
    return Draft202012Validator({**schema, "components": description()["components"]}).is_valid(value)


def test_every_default_fits_its_own_schema() -> None:
    defaults = {name: schema for name, schema in _properties() if "default" in schema}

    assert "DeviceRequest.locale" in defaults
    assert [name for name, schema in defaults.items() if not _fits(schema, schema["default"])] == []


@pytest.mark.parametrize("schema_name", ["RedemptionRequest", "ScanInput"])
@pytest.mark.parametrize(
    ("amount", "is_taken"),
    [("0", True), ("99999.99", True), ("7.5", True), ("-1", False), ("100000", False), ("1.005", False), (".5", False)],
)
def test_an_amount_is_described_as_it_is_taken(schema_name: str, amount: str, is_taken: bool) -> None:
    described = description()["components"]["schemas"][schema_name]["properties"]["amount"]

    assert _fits(described, amount) == is_taken


def test_no_credential_is_described_twice() -> None:
    schemes = description()["components"]["securitySchemes"]
    reported = [tuple(sorted(scheme.items())) for scheme in schemes.values()]

    assert len(set(reported)) == len(reported)
    assert {"brandToken", "adminSession"} <= schemes.keys()


def test_fixes_are_listed_with_the_other_calls_of_a_device() -> None:
    paths = description()["paths"]

    assert paths["/v1/fixes"]["post"]["tags"] == paths["/v1/devices"]["post"]["tags"]
