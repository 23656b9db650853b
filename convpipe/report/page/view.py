"""A page inside a notebook: a frame of its own, whose script cannot reach the notebook's."""

from dataclasses import dataclass, field
from html import escape

HEIGHT = 980  # pixels


@dataclass(frozen=True, repr=False)
class View:
    """A page's text; a notebook shows it."""

    page: str = field(repr=False)

    def __repr__(self) -> str:
        return f"<View of a page, {HEIGHT} pixels high>"

    def _repr_html_(self) -> str:
        frame = '<iframe title="convpipe" sandbox="allow-scripts" width="100%" height="{}" srcdoc="{}"></iframe>'
        return frame.format(HEIGHT, escape(self.page))
