"""The page of a collection."""

from pathlib import Path

from convpipe.report.page.asked import Asked, check_alone
from convpipe.report.page.document import Content, document


def collection_page(folder: Path, asked: Asked) -> bytes:
    """The page of a collection: a table of its runs."""
    check_alone(asked)
    return document(Content("collection_page", folder.resolve().name, asked.language, {}, {}))
