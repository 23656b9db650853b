"""Hydra's grammar where Python leaves out assertions (``python -O``, PYTHONOPTIMIZE): some of Hydra's take a step.

Of a function the visitor passes over ``(`` by an assertion, and of a dict over ``:``. Here both are passed over
without one. Nobody else needs this module.
"""

from typing import Any

from hydra.core.override_parser import overrides_parser
from hydra.core.override_parser.overrides_visitor import HydraOverrideVisitor
from hydra.grammar.gen.OverrideLexer import OverrideLexer


class Visitor(HydraOverrideVisitor):
    """Hydra's, without assertions that do something."""

    def is_matching_terminal(self, node: Any, symbol_type: int) -> bool:
        """Whether a node is that token; where a comma is looked for, which is passed over, so is a bracket."""
        if super().is_matching_terminal(node, symbol_type):
            return True
        among = symbol_type == OverrideLexer.COMMA
        return among and bool(super().is_matching_terminal(node, OverrideLexer.POPEN))

    def visitDictKeyValuePair(self, ctx: Any) -> tuple[str, Any]:  # noqa: N802 - antlr's name
        """The key and the value, without the colon between them."""
        return self.visitDictKey(ctx.getChild(0)), self.visitElement(ctx.getChild(2))


def mend_grammar() -> None:
    """Let Hydra use this visitor."""
    overrides_parser.HydraOverrideVisitor = Visitor  # type: ignore[attr-defined]
