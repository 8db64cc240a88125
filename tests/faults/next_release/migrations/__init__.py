"""The product's migrations and four more, on the tables that tills write to."""

from pathlib import Path

import promotions.migrations

__path__ = [*promotions.migrations.__path__, *__path__]

LAST_OF_THIS_RELEASE = max(path.stem for path in Path(promotions.migrations.__path__[0]).glob("[0-9]*.py"))
