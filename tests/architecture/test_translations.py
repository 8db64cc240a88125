"""Every sentence that a rule marks for translation has a French one with the same values."""

import ast
import re
from pathlib import Path

import pytest
from django.utils.translation import gettext, override

from tests.architecture.test_tree import PRODUCT, ROOT
from tests.architecture.trees import list_nodes, read

MARKED = [path for path in PRODUCT if "gettext_noop as _" in read(path)]
VALUE = re.compile(r"\{\w+\}")


def sentences(path: Path) -> list[str]:
    calls = [node for node in list_nodes(path) if isinstance(node, ast.Call)]
    marks = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "_"]
    return [ast.literal_eval(call.args[0]) for call in marks]


@pytest.mark.parametrize("path", MARKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_marked_sentence_is_translated(path: Path) -> None:
    found = sentences(path)

    with override("fr"):
        french = {sentence: gettext(sentence) for sentence in found}

    assert french
    assert [sentence for sentence, translation in french.items() if translation == sentence] == []
    assert all(sorted(VALUE.findall(sentence)) == sorted(VALUE.findall(french[sentence])) for sentence in found)
