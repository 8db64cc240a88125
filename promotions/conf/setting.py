"""A setting: one environment variable with its form, default, unit and help."""

from dataclasses import dataclass

from promotions.conf.forms import Form, Headers, Secret, Secrets
from promotions.conf.network_forms import PostgisUrl, RedisUrl, SentryDsn

HOUR, DAY, YEAR = 3_600, 86_400, 31_536_000


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable. `is_required` counts outside DEBUG.

    A secret may also come from the file that `<NAME>_FILE` names.
    """

    name: str
    form: Form
    default: str
    unit: str
    help: str
    is_required: bool

    @property
    def is_secret(self) -> bool:
        """Return whether the value must never be shown. Addresses may contain a password."""
        return isinstance(self.form, Secret | Secrets | PostgisUrl | RedisUrl | SentryDsn | Headers)


class Declarations(dict[str, Setting]):
    """Settings by name, in the order of their declaration."""

    def declare(self, name: str, form: Form, default: str, unit: str, help: str, *, required: bool = False) -> None:
        """Add a setting."""
        self[name] = Setting(name, form, default, unit, help, required)
