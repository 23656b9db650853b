"""Stages that cut columns and filters to the tiles of an array, and multiply and add those."""

from __future__ import annotations

from convpipe.errors import ConfigError
from convpipe.geometry.columns import Tile
from convpipe.ops.kinds.convolving import ConvStage


class TileStage(ConvStage):
    """A stage that cuts to tiles, or works on them."""

    follows = ("tile",)

    @property
    def tile(self) -> Tile:
        """The size of the array.

        Raises:
            ConfigError: none is said.
        """
        tile = self.conv.columns.tile
        if tile is None:
            raise ConfigError("lowering.tile", None, "[rows,K,F], the size of the array, as a stage cuts to tiles")
        return tile
