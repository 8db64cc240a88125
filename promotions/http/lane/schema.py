"""The OpenAPI 3.1 description of the fix lane, whose types come from the structs the lane decodes with."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from promotions.http.lane.fixes import FixesAccepted, PostedFixes

_REF = "#/components/schemas/{name}"

EXAMPLE_FIX: Mapping[str, Any] = MappingProxyType(
    {
        "latitude": 48.8675,
        "longitude": 2.3635,
        "horizontal_accuracy_m": 12.0,
        "fix_time": "2026-09-22T10:30:00Z",
    }
)
"""At the Place de la République in Paris."""

_CREDENTIAL_CODES = ("token_missing", "token_malformed", "token_expired", "token_revoked", "consent_required")
_STOCK_CODES = (
    "malformed_body",
    *_CREDENTIAL_CODES,
    "method_not_allowed",
    "too_many_fixes",
    "rate_limited",
    "busy",
    "unavailable",
)


def lane_components() -> dict[str, Any]:
    """`components.schemas` of the lane's own types."""
    _schemas, components = msgspec.json.schema_components([PostedFixes, FixesAccepted], ref_template=_REF)
    return components


def lane_security_schemes() -> dict[str, Any]:
    """`components.securitySchemes` the lane's operations name."""
    return {
        "deviceToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `access_token` of `POST /v1/devices`.",
        },
        "ingestKey": {
            "type": "http",
            "scheme": "basic",
            "description": "The `ingest_key` of `POST /v1/devices` as the password; the user name is ignored.",
        },
        "ingestKeyBearer": {"type": "http", "scheme": "bearer", "description": "The `ingest_key` as a Bearer token."},
        "ingestKeyId": {"type": "apiKey", "in": "query", "name": "id", "description": "The `ingest_key` as `id`."},
    }


def lane_paths() -> dict[str, Any]:
    """`paths` of the four addresses the lane answers itself; `http/schema.py` turns `x-problem-codes` into answers."""
    return {
        "/v1/fixes": {"post": _fixes_operation()},
        "/v1/ingest/owntracks": {
            "post": _stock_operation(
                "ingest_owntracks",
                "OwnTracks, HTTP mode. `location` and `transition` are stored; any other `_type` is ignored.",
                _json_body({"type": "object"}, required=False),
                _json_answer({"type": "array", "items": {}, "maxItems": 0}),
                (_BASIC, _BEARER),
            )
        },
        "/v1/ingest/overland": {
            "post": _stock_operation(
                "ingest_overland",
                "Overland: a batch of at most 1,000 GeoJSON features. `current` and `trip` are ignored.",
                _json_body({"type": "object"}, required=False),
                _json_answer({"type": "object", "properties": {"result": {"const": "ok"}}, "required": ["result"]}),
                (_BEARER, _BASIC),
            )
        },
        "/v1/ingest/osmand": {"get": _osmand_operation("get"), "post": _osmand_operation("post")},
    }


_BASIC: dict[str, list[str]] = {"ingestKey": []}
_BEARER: dict[str, list[str]] = {"ingestKeyBearer": []}
_BY_ID: dict[str, list[str]] = {"ingestKeyId": []}


def _fixes_operation() -> dict[str, Any]:
    codes = [*_STOCK_CODES, "body_too_large", "invalid_input", "unsupported_media_type"]
    return {
        "operationId": "fixes_create",
        "tags": ["devices"],
        "description": (
            "Post up to 100 fixes. 202: the fixes are stored durably. A well-formed fix that cannot be used is listed "
            "in `rejected`; the others are stored. Repeats are harmless. If the answer has `X-Next-After`, the service "
            "is behind: wait at least that many seconds before the next request."
        ),
        "security": [{"deviceToken": []}],
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Accepted but not needed: repeats are detected by the identity of each fix.",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": _json_body(
            {"$ref": _REF.format(name="PostedFixes")},
            required=True,
            example={
                "summary": "A phone in Paris",
                "description": "Set `fix_time` to the current time.",
                "value": {"fixes": [dict(EXAMPLE_FIX)]},
            },
        ),
        "responses": {"202": _json_answer({"$ref": _REF.format(name="FixesAccepted")}, _NEXT_AFTER)},
        "x-problem-codes": codes,
    }


def _osmand_operation(method: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "required": False,
        "content": {
            "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
            "application/json": {"schema": {"type": ["object", "array"]}},
        },
    }
    return _stock_operation(
        f"ingest_osmand_{method}",
        "Traccar Client and OsmAnd: query parameters, a form or JSON. The `id` is the ingest key.",
        body if method == "post" else None,
        {"description": "The fixes are stored, or there was nothing to store.", "headers": _HEADERS},
        (_BY_ID, _BEARER, _BASIC),
    )


def _stock_operation(
    operation_id: str,
    description: str,
    body: dict[str, Any] | None,
    answer: dict[str, Any],
    security: tuple[dict[str, list[str]], ...],
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "tags": ["stock phone apps"],
        "description": (
            f"{description} The answer is sent after the durable append. A fix that can never be stored gets the same "
            "answer, so that the app does not repeat it for weeks."
        ),
        "security": list(security),
        "responses": {"200": answer},
        "x-problem-codes": list(_STOCK_CODES),
    }
    if body is not None:
        operation["requestBody"] = body
    return operation


_HEADERS: dict[str, Any] = {
    "X-Request-Id": {"description": "The id of this request. Quote it in a report.", "schema": {"type": "string"}}
}

_NEXT_AFTER: dict[str, Any] = {
    "X-Next-After": {
        "description": "Only while the service is behind: seconds to wait before the next request.",
        "required": False,
        "schema": {"type": "integer", "minimum": 1},
    }
}


def _json_body(schema: dict[str, Any], *, required: bool, example: dict[str, Any] | None = None) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": schema}
    if example is not None:
        media["examples"] = {"Example": example}
    return {"required": required, "content": {"application/json": media}}


def _json_answer(schema: dict[str, Any], more_headers: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    return {
        "description": "The fixes are stored.",
        "headers": {**_HEADERS, **more_headers},
        "content": {"application/json": {"schema": schema}},
    }


def add_lane_paths(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Merge the raw-ASGI paths, whose types come from the lane's own structs."""
    result["paths"].update(lane_paths())
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update(lane_components())
    components.setdefault("securitySchemes", {}).update(lane_security_schemes())
    return result
