"""Register an installation; change its consents and address; export and erase its data."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.response import Response

from notifications.logic.addresses import ADDRESS_KINDS, Address
from promotions import limits
from promotions.http.address import read_address
from promotions.http.auth import DeviceAuthentication, requesting_device
from promotions.http.idempotency import idempotent_with_secrets
from promotions.http.schema import body_example, operation
from promotions.http.serializers import OneOfField, StrictSerializer, TextField, read_body
from promotions.http.views import ApiView
from promotions.models import Device
from promotions.models.devices import Purpose
from promotions.services.devices.erasure import export_device, forget_device
from promotions.services.devices.registration import (
    ConsentGiven,
    Credentials,
    DeviceChange,
    NewDevice,
    change_device,
    issue_credentials,
    register_device,
)

_LOCALE = r"^([A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4})?$"
_PRINTABLE = r"^[ -~]+$"
_MAX_ADDRESS_CHARS = 1024


class PatternField(TextField):
    """A JSON string of one shape."""

    def __init__(self, pattern: str, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)
        self.pattern = re.compile(pattern)
        self.validators.append(serializers.RegexField(pattern).validators[-1])

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        # The validator's `$` would let a final line feed through.
        if value.endswith("\n"):
            self.fail("invalid")
        return value


class LocaleField(PatternField):
    """The person's language; empty when it is not known, as when it is left out."""

    def __init__(self, **kwargs: Any) -> None:
        about = "BCP 47, such as fr-FR; empty when it is not known."
        super().__init__(_LOCALE, max_length=35, required=False, help_text=about, **kwargs)

    def run_validation(self, data: Any = empty) -> Any:
        """The locale. Without `allow_blank`, for which OpenAPI would get a second kind of text beside the pattern."""
        return data if data == "" else super().run_validation(data)


class PushAddressRequest(StrictSerializer):
    """A push address of the device. One address per kind; the last one sent is used."""

    kind = OneOfField(choices=ADDRESS_KINDS)
    address = PatternField(_PRINTABLE, max_length=_MAX_ADDRESS_CHARS)
    app_id = TextField(max_length=120, required=False, default="", allow_blank=True)
    environment = TextField(max_length=20, required=False, default="", allow_blank=True)


class ConsentsField(serializers.ListField):
    """Every purpose the person consents to. A purpose that is left out is not granted."""

    child = OneOfField(choices=Purpose.choices)

    def to_internal_value(self, data: Any) -> list[str]:
        values = list(super().to_internal_value(data))
        if len(set(values)) != len(values):
            raise serializers.ValidationError("Each purpose once.", code="duplicate_value")
        return values


class DeviceRequest(StrictSerializer):
    """One installation of an app. It must not contain data that identifies a person."""

    platform = OneOfField(choices=Device.Platform.choices)
    app_id = TextField(max_length=120, required=False, default="", allow_blank=True)
    locale = LocaleField(default="")
    consents = ConsentsField(max_length=len(Purpose))
    consent_text_version = TextField(
        max_length=64,
        required=False,
        default="",
        allow_blank=True,
        help_text="Version of the text the person was shown.",
    )
    push_address = PushAddressRequest(required=False, allow_null=True)


class DeviceChangeRequest(StrictSerializer):
    """The fields to change. `consents`, when given, replaces the whole list."""

    app_id = TextField(max_length=120, required=False, allow_blank=True)
    locale = LocaleField()
    consents = ConsentsField(max_length=len(Purpose), required=False)
    consent_text_version = TextField(max_length=64, required=False, default="", allow_blank=True)
    push_address = PushAddressRequest(required=False)


class RegisteredDevice(serializers.Serializer[Any]):
    """The new device. The access token is the Bearer token of device calls; the ingest key is for stock phone apps."""

    device_id = serializers.UUIDField()
    access_token = serializers.CharField()
    ingest_key = serializers.CharField(allow_null=True, help_text="Null without the consent `geo_match`.")
    consents = serializers.ListField(child=serializers.ChoiceField(choices=Purpose.choices))


class ChangedDevice(serializers.Serializer[Any]):
    """The device after the change. If consents changed, use these credentials from now on; otherwise both are null."""

    device_id = serializers.UUIDField()
    platform = serializers.ChoiceField(choices=Device.Platform.choices)
    app_id = serializers.CharField(allow_blank=True)
    locale = serializers.CharField(allow_blank=True)
    consents = serializers.ListField(child=serializers.ChoiceField(choices=Purpose.choices))
    registered_at = serializers.DateTimeField()
    access_token = serializers.CharField(allow_null=True)
    ingest_key = serializers.CharField(allow_null=True)


class DeviceExport(serializers.Serializer[Any]):
    """All data stored about the device, by the part of the product that stores it."""

    exported_at = serializers.DateTimeField()
    device = serializers.DictField()
    promotions = serializers.DictField()
    geofence = serializers.DictField()
    notifications = serializers.DictField()


def _reissue(answer: Mapping[str, Any], requested_at: datetime) -> dict[str, str | None]:
    """The credentials of an answer given before, letter for letter: they follow from the device and the time."""
    device = Device(pk=UUID(answer["device_id"]), consents=answer["consents"])
    return _serialize_credentials(issue_credentials(device, now=requested_at))


_with_credentials = idempotent_with_secrets("access_token", "ingest_key", reveal=_reissue)


_EXAMPLE = body_example(
    "A phone in France",
    {
        "platform": "android",
        "locale": "fr-FR",
        "consents": [purpose.value for purpose in Purpose],
        "consent_text_version": "2026-09",
    },
)


class DevicesView(ApiView):
    """`/v1/devices`"""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """First check whether this address may still register. Errors: `rate_limited`."""
        limits.REGISTRATIONS.require(limits.address_key(read_address(request._request)))
        super().initial(request, *args, **kwargs)

    @operation(
        summary="Register a device",
        body=DeviceRequest,
        example=_EXAMPLE,
        answers={201: RegisteredDevice},
        problems=("rate_limited",),
    )
    @_with_credentials
    def post(self, request: Request) -> Response:
        """Register an installation of the app, anonymously, with the consents of its owner."""
        given = read_body(DeviceRequest, request)
        new = NewDevice(
            platform=given["platform"],
            app_id=given["app_id"],
            locale=given["locale"],
            consents=_read_consents(given),
            push=_read_push(given.get("push_address"), given["app_id"]),
        )
        device, credentials = register_device(new, now=self.now)
        body = {"device_id": device.pk, "consents": device.consents, **_serialize_credentials(credentials)}
        return Response(body, status=201)


class MyDeviceView(ApiView):
    """`/v1/devices/me`"""

    authentication_classes = [DeviceAuthentication]

    @operation(summary="Change consents, locale, push address", body=DeviceChangeRequest, answers={200: ChangedDevice})
    @_with_credentials
    def patch(self, request: Request) -> Response:
        """Change the fields in the body. Withdrawing `geo_match` revokes every credential issued before."""
        device, given = requesting_device(request), read_body(DeviceChangeRequest, request)
        change = DeviceChange(
            app_id=given.get("app_id"),
            locale=given.get("locale"),
            consents=_read_consents(given) if "consents" in given else None,
            push=_read_push(given.get("push_address"), given.get("app_id", device.app_id)),
        )
        device, credentials = change_device(device.pk, change, now=self.now)
        body = {
            "device_id": device.pk,
            "platform": device.platform,
            "app_id": device.app_id,
            "locale": device.locale,
            "consents": device.consents,
            "registered_at": device.registered_at,
            **_serialize_credentials(credentials),
        }
        return Response(body)

    @operation(summary="Erase this device", answers={204: None})
    def delete(self, request: Request) -> Response:
        """Delete all data stored about the device and revoke its credentials. This cannot be undone."""
        forget_device(requesting_device(request).pk, now=self.now)
        return Response(status=204)


class ExportView(ApiView):
    """`/v1/devices/me/export`"""

    authentication_classes = [DeviceAuthentication]

    @operation(summary="Export all data about this device", answers={200: DeviceExport})
    def get(self, request: Request) -> Response:
        """Return all data stored about this device, in all parts of the product."""
        return Response(export_device(requesting_device(request), now=self.now))


def _read_consents(given: dict[str, Any]) -> ConsentGiven:
    return ConsentGiven(frozenset(given["consents"]), given["consent_text_version"])


def _read_push(given: dict[str, Any] | None, app_id: str) -> Address | None:
    if given is None:
        return None
    return Address(
        kind=given["kind"],
        value=given["address"],
        app_id=given["app_id"] or app_id,
        environment=given["environment"],
    )


def _serialize_credentials(credentials: Credentials | None) -> dict[str, str | None]:
    return {
        "access_token": credentials.access_token if credentials else None,
        "ingest_key": credentials.ingest_key if credentials else None,
    }
