"""How much of a run is archived beside the hashes of its stages: which arrays, and what its file sources read."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

INPUT = "input"  # the row of what a network works on


class Keep(StrEnum):
    """A value of the setting `keep`, which can be asked; from less to more.

    >>> Keep("layers+inputs").arrays, Keep("layers+inputs").inputs, Keep("layers").inputs
    (<Keep.LAYERS: 'layers'>, True, False)
    """

    OUTPUT = "output"
    LAYERS = "layers"
    STAGES = "stages"
    OUTPUT_INPUTS = "output+inputs"
    LAYERS_INPUTS = "layers+inputs"
    STAGES_INPUTS = "stages+inputs"

    @cached_property
    def arrays(self) -> "Keep":
        """Which arrays: the output alone, each layer's, or every stage's."""
        return Keep(self.partition("+")[0])

    @cached_property
    def inputs(self) -> bool:
        """Whether what file sources read is stored, too."""
        return self.endswith("+inputs")

    def covers(self, other: "Keep") -> bool:
        """Whether an archive of this keeps at least what one of the other does.

        >>> Keep.STAGES.covers(Keep.LAYERS), Keep.STAGES.covers(Keep.OUTPUT_INPUTS)
        (True, False)
        """
        order = list(Keep)
        return order.index(self.arrays) >= order.index(other.arrays) and self.inputs >= other.inputs

    def joined(self, other: "Keep") -> "Keep":
        """The least that covers both.

        >>> Keep.LAYERS.joined(Keep.OUTPUT_INPUTS)
        <Keep.LAYERS_INPUTS: 'layers+inputs'>
        """
        return next(keep for keep in Keep if keep.covers(self) and keep.covers(other))

    def of_run(self, network: Mapping[str, Any] | None) -> "Keep":
        """The same of a run of that network, or of a single convolution, which has no layers but its output.

        >>> Keep.LAYERS_INPUTS.of_run(None)
        <Keep.OUTPUT_INPUTS: 'output+inputs'>
        """
        return Keep(self.replace(Keep.LAYERS, Keep.OUTPUT)) if network is None else self


def advised(stage: str, rows: Sequence[Mapping[str, str]], network: object) -> Keep:
    """The least that keeps the array of a stage that is not the output.

    Args:
        rows: of the run's stages.csv.
        network: what the run's config says of its layers, if it has some.
    """
    layer = stage.partition("/")[0]
    last = [row["stage"] for row in rows if row["stage"].partition("/")[0] == layer][-1:]  # weights come first
    made = isinstance(network, Mapping) and (stage == INPUT or (layer in network and last == [stage]))
    return Keep.LAYERS if made else Keep.STAGES
