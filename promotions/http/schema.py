"""The OpenAPI description: what drf-spectacular cannot derive by itself, above all the problems of a call."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema

from promotions.http.problems import CATALOGUE, CONTENT_TYPE, FAULTS
from promotions.logic.assurance import MissingCode

F = TypeVar("F", bound=Callable[..., Any])
Serializers = Mapping[int | tuple[int, str], Any]

_METHODS = frozenset({"get", "post", "put", "patch", "delete", "head"})
# Not `internal`: an answer that is our fault must never pass for a documented one.
_ALWAYS = ("invalid_input", "method_not_allowed", "not_acceptable", "busy", "unavailable")
_WITH_BODY = ("malformed_body", "body_too_large", "unsupported_media_type")
_WITH_TOKEN = ("token_missing", "token_malformed", "token_expired", "token_revoked")
_WITH_KEY = ("idempotency_in_flight", "idempotency_mismatch")


def _idempotency_key(*, min_chars: int) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotency-Key",
        location=OpenApiParameter.HEADER,
        type={"type": "string", "minLength": min_chars, "maxLength": 255, "pattern": "^[!-~]+$"},
        description="A repeat with the same key and body gets the stored answer, for 24 hours. Use a UUID.",
    )


def body_example(summary: str, value: Mapping[str, Any], *, about: str = "") -> OpenApiExample:
    """A body for *Try it out* at `/v1/docs/`: made up from the types, one would be refused."""
    return OpenApiExample("example", value=value, summary=summary, description=about, request_only=True)


def operation(
    *,
    summary: str,
    answers: Serializers,
    body: Any = None,
    example: OpenApiExample | None = None,
    problems: Iterable[str] = (),
    operation_id: str = "",
) -> Callable[[F], F]:
    """Describe a view's method: its body and answers by serializer, and the problem codes that are its own.

    Codes that follow from how a call is made (its token, body, key, parameters) are added by themselves.
    """
    problem_codes = tuple(problems)
    unknown = [code for code in problem_codes if code not in CATALOGUE]
    if unknown:
        raise ValueError(f"not in the catalogue: {unknown}")
    decorate = extend_schema(
        summary=summary,
        request=body,
        responses=dict(answers),
        operation_id=operation_id or None,
        examples=[example] if example else None,
    )

    def mark(method: F) -> F:
        described: F = decorate(method)
        described.problem_codes = problem_codes  # type: ignore[attr-defined]
        return described

    return mark


class DoorstepSchema(AutoSchema):
    """Reads query parameters, problem codes and idempotency off the view, so that they are declared once."""

    def get_override_parameters(self) -> Any:
        """Query parameters of `ApiView.query_serializers`, and the key of an idempotent call."""
        found = list(super().get_override_parameters())
        query = getattr(self.view, "query_serializers", {}).get(self.method)
        if query is not None:
            found.append(query)
        if getattr(self._method, "is_idempotent", False):
            found.append(_idempotency_key(min_chars=1 if self._needs_token else 20))
        return found

    def get_tags(self) -> list[str]:
        """The audience's noun: the first part of the path after `/v1`."""
        return [next(iter(self._tokenize_path()), "service")]

    def get_auth(self) -> Any:
        """The credential of the call. No call here works both with and without one, as AllowAny would suggest."""
        return [scheme for scheme in super().get_auth() if scheme]

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """The operation, with its problem codes for the post-processing hook."""
        described = super().get_operation(*args, **kwargs)
        own = getattr(self._method, "problem_codes", None)
        if described is not None and own is not None:
            described["x-problem-codes"] = [*_ALWAYS, *self._common_codes(described), *own]
        return described

    def _common_codes(self, described: Mapping[str, Any]) -> list[str]:
        codes: list[str] = []
        if "requestBody" in described:
            codes += _WITH_BODY
        if self._needs_token:
            codes += _WITH_TOKEN
        if "{" in self.path:
            codes.append("not_found")
        if getattr(self._method, "is_idempotent", False):
            codes += _WITH_KEY
        return codes

    @property
    def _needs_token(self) -> bool:
        return bool(self.view.authentication_classes)

    @property
    def _method(self) -> Any:
        return getattr(self.view, self.method.lower(), None)


def add_problem_responses(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Describe the problems of every operation; an operation that names none may answer with any."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    for operations in result["paths"].values():
        for method, described in operations.items():
            if method not in _METHODS:
                continue
            codes = described.pop("x-problem-codes", None)
            if codes is None:
                described["responses"].setdefault("default", problem_response(()))
            else:
                _add_codes(described["responses"], codes)
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _add_codes(responses: dict[str, Any], codes: Iterable[str]) -> None:
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    for status, group in sorted(by_status.items()):
        responses[str(status)] = problem_response(sorted(group))


def problem_response(codes: Iterable[str]) -> dict[str, Any]:
    """A response whose body is a problem with one of these codes, or with any when none is named."""
    reference: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    names = list(codes)
    if not names:
        return {"description": "A problem.", "content": {CONTENT_TYPE: {"schema": reference}}}
    return {
        "description": "; ".join(f"`{code}`: {CATALOGUE[code].title}" for code in names) + ".",
        "content": {
            CONTENT_TYPE: {
                "schema": {"allOf": [reference, {"type": "object", "properties": {"code": {"enum": names}}}]}
            }
        },
    }


_NEAREST_STORE: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "The nearest participating store; null if no position was given.",
    "required": ["id", "name", "latitude", "longitude", "distance_m", "distance_bucket", "walking_minutes"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string"},
        "latitude": {"type": "number"},
        "longitude": {"type": "number"},
        "distance_m": {"type": "integer", "minimum": 0},
        "distance_bucket": {"type": "string"},
        "walking_minutes": {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "Walking time by street, derived from `distance_m`; null beyond 5 km.",
        },
    },
    "additionalProperties": False,
}

_MISSING: dict[str, Any] = {
    "type": "object",
    "required": ["code", "level", "message"],
    "properties": {
        "code": {"enum": sorted(code.value for code in MissingCode)},
        "level": {"type": "integer", "description": "The level that cannot be reached without it."},
        "seconds": {"type": "integer", "description": "Seconds that are missing, or seconds to wait."},
        "metres": {
            "type": "integer",
            "description": "Missing distance or accuracy in metres, rounded up to 10, 50 or 100.",
        },
        "message": {"type": "string", "description": "What to do, in the device's language (English or French)."},
    },
    "additionalProperties": False,
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details. `type` links to docs/problems.md; further members depend on `code`.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON Pointer into the body; `?name` for a parameter, `#Name` for a header.",
                    },
                    "code": {"enum": sorted(FAULTS)},
                    "detail": {"type": "string"},
                },
                "additionalProperties": False,
            },
        },
        "nearest_store": _NEAREST_STORE,
        "missing": {"type": "array", "items": _MISSING, "description": "Missing proof of presence."},
        "next_opening_at": {"type": ["string", "null"], "format": "date-time"},
    },
    "additionalProperties": True,
}
