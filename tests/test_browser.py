"""What judges pages is itself shown pages that are wrong."""

from __future__ import annotations

from typing import Any

import pytest
from browser import Watched, findings, scrolls_sideways

PLAIN = "<!doctype html><html lang=en><title>t</title><body data-ready=yes><main><h1>t</h1>{}</main>"


def opened_by(chromium: Any, tmp_path: Any, html: str) -> Watched:
    """What is seen of a page that may do what it likes."""
    watched = Watched()
    path = tmp_path / "bad.html"
    path.write_text(html)
    context = chromium.new_context(offline=True)
    page = context.new_page()
    watched.follow(page)
    watched.files.append(path.as_uri())
    page.goto(path.as_uri())
    page.wait_for_timeout(200)
    context.close()
    return watched


@pytest.mark.parametrize(
    "bad",
    [
        "<script>console.log(1)</script>",
        "<script>nothing.there</script>",
        "<img alt=x src='http://nowhere.test/a.png'>",
    ],
)
def test_a_page_that_speaks_or_asks_is_caught(chromium: Any, tmp_path: Any, bad: str) -> None:
    with pytest.raises(AssertionError):
        opened_by(chromium, tmp_path, PLAIN.format(bad)).check()


def test_a_quiet_page_is_not(chromium: Any, tmp_path: Any) -> None:
    opened_by(chromium, tmp_path, PLAIN.format("<p>quiet</p>")).check()


def test_barriers_and_wide_pages_are_found(page_of: Any) -> None:
    bad = PLAIN.format("<button></button><p style='width:3000px;color:#eee;background:#fff'>faint</p>")
    page = page_of(bad.encode(), width=390)
    assert {found.split(":")[0] for found in findings(page)} == {"button-name", "color-contrast"}
    assert scrolls_sideways(page)


def test_neither_is_found_where_there_is_none(page_of: Any) -> None:
    page = page_of(PLAIN.format("<p>plain</p>").encode(), width=390)
    assert findings(page) == []
    assert not scrolls_sideways(page)
