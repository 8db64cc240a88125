"""The registry of all settings. `make docs` writes it to `docs/settings.md`."""

from promotions.conf.rules import SETTINGS as RULES
from promotions.conf.servers import SETTINGS as SERVERS
from promotions.conf.setting import Setting

SETTINGS: dict[str, Setting] = {**SERVERS, **RULES}
