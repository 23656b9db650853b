"""What a first reader of a collection's page had to guess, in a real browser."""

from __future__ import annotations

from typing import Any

from browser import Open, findings
from collection_cases import grid_rows, page_of_rows

ROWS = grid_rows(300)


def asked(page: Any, text: str) -> tuple[str, str, str]:
    """What the page says of a filter: the error, the advice, how many are left."""
    page.fill("#where", text)
    page.press("#where", "Enter")
    return tuple(page.inner_text(f"#{name}") for name in ("where-error", "where-advice", "count"))  # type: ignore[return-value]


def test_a_filter_that_is_none_is_explained_in_the_language_of_the_page(page_of: Open) -> None:
    page = page_of(page_of_rows(ROWS, language="ko"))
    error, _, count = asked(page, "conv.pad == same")
    assert error.startswith("same 열이 없습니다. 글자 값이면 따옴표를 붙여 'same' 형태로 쓰세요. --where: got ")
    assert count.endswith("(이 필터를 읽을 수 없어 거르지 않았습니다)")
    page.get_by_role("button", name="English").click()
    assert page.inner_text("#where-error").startswith("There is no column same. If it is a text, write 'same' --where")
    assert page.inner_text("#count") == "300 of 300 runs without a filter, as this one cannot be read"
    assert asked(page, "filters.kernel = 5")[0].startswith("Write == instead of =.")


def test_a_shape_is_found_as_a_tuple_and_a_number_is_told_what_it_is(page_of: Open) -> None:
    page = page_of(page_of_rows(ROWS))
    count = sum(row.get("output_shape") == "(1,8,8)" for row in ROWS)
    assert asked(page, "output_shape == (1,8,8)") == ("", "", f"{count} of 300 runs")
    error, advice, none = asked(page, "filters.kernel == '5'")
    assert (error, none) == ("", "0 of 300 runs")
    right = advice.split(": ")[1]
    assert right == "filters.kernel == 5"
    assert asked(page, right)[:2] == ("", "")
    assert not page.inner_text("#count").startswith("0 of")
    assert findings(page) == []


def test_axes_are_in_powers_of_ten_until_that_is_not_wanted(page_of: Open) -> None:
    page = page_of(page_of_rows(ROWS))
    assert "seconds (s, log)" in page.locator("#parallel text").all_text_contents()
    page.locator("#scatter select").nth(1).select_option("seconds")
    assert "seconds (s, log)" in page.locator("#scatter text").all_text_contents()
    page.locator("#scales").get_by_label("seconds").uncheck()
    for plot in ("#parallel", "#scatter svg[role=img]"):
        texts = page.locator(f"{plot} text").all_text_contents()
        assert "seconds (s)" in texts
        assert "seconds (s, log)" not in texts


def test_another_order_begins_at_the_top(page_of: Open) -> None:
    page = page_of(page_of_rows(ROWS))
    page.evaluate("document.querySelector('.window').scrollTop = 3000")
    page.get_by_role("columnheader", name="seconds (s)").get_by_role("button").click()
    assert page.evaluate("document.querySelector('.window').scrollTop") == 0
    assert page.locator(".grid tbody tr").first.get_attribute("aria-rowindex") == "2"


def test_a_phone_is_told_of_axes_out_of_sight(page_of: Open) -> None:
    assert page_of(page_of_rows(ROWS), 390).get_by_text("Scroll sideways to see all axes").is_visible()
    assert not page_of(page_of_rows(grid_rows(1)), 1280).get_by_text("Scroll sideways").is_visible()
