"""The product's migrations and one more, as if the mechanic's migration were among them."""

from pathlib import Path

import promotions.migrations

__path__ = [*promotions.migrations.__path__, *__path__]

LAST_OF_THE_PRODUCT = max(path.stem for path in Path(promotions.migrations.__path__[0]).glob("[0-9]*.py"))
