"""A real browser for pages: Chromium, offline, and what it says of them. Tests ask for `page_of`.

A page is one file, asks for nothing else and says nothing on the console: each test's end holds it against that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
READY = "body[data-ready]"  # page.mjs says so when all views are there

Open = Callable[..., Any]


class Watched:
    """What the pages of one test said, and what they asked for."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        self.files: list[str] = []

    def follow(self, page: Any) -> None:
        """Listen to a page from before it is opened."""
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", lambda request: self.ask(request.url))

    def ask(self, url: str) -> None:
        """One request; what a page holds itself (data:, blob:) is none."""
        if not url.startswith(("data:", "blob:")):
            self.requests.append(url)

    def check(self) -> None:
        """Nothing on the console, and nothing asked for but the files themselves."""
        assert self.said == [], self.said
        assert self.requests == self.files, self.requests


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium, started once for a module's tests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser and is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page_of(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """`page_of(html)` opens a page's bytes from a file, without a network, and gives Playwright's page."""
    watched, contexts = Watched(), []

    def opened(html: bytes, width: int = 1280, *, dark: bool = False, **options: Any) -> Any:
        path = tmp_path / f"page{len(watched.files)}.html"
        path.write_bytes(html)
        scheme = "dark" if dark else "light"
        context = chromium.new_context(
            offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        watched.follow(page)
        watched.files.append(path.as_uri())
        page.goto(path.as_uri())
        page.wait_for_selector(READY, timeout=20_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    watched.check()


def findings(page: Any) -> list[str]:
    """What axe-core finds wrong with a page for people who do not see it, or not its colours."""
    reason = "axe-playwright-python looks for barriers and is not installed"
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=reason).Axe()
    violations = axe.run(page).response["violations"]
    return [f"{found['id']}: {node['html'][:200]}" for found in violations for node in found["nodes"]]


def scrolls_sideways(page: Any) -> bool:
    """Whether the page itself is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
