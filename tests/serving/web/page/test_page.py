"""The page as people use it: they search, refine, look at reasons, and make up a history."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from serving.client import Client
from tests.serving.web.page.looking import (
    NEEDS_CHROMIUM,
    add_to_history,
    result,
    results,
    search,
    titles,
)

pytestmark = NEEDS_CHROMIUM


def test_page_begins_with_what_is_popular(page: Page, server_address: str) -> None:
    with Client(server_address) as client:
        (expected,) = client.recommend(user_ids=[""])

    expect(page.get_by_role("heading", name="Popular with everybody")).to_be_visible()
    assert titles(page) == [item.title for item in expected]


def test_typing_is_enough_to_search(page: Page, server_address: str) -> None:
    search(page, "a red apron")

    with Client(server_address) as client:
        (expected,) = client.search(["a red apron"])
    assert titles(page) == [item.title for item in expected]
    expect(page.locator("#facts")).to_contain_text("6 results in ")
    expect(page.locator("#announcement")).to_contain_text("Results for “a red apron”: 6 results in ")
    expect(page.locator("#server")).to_have_text("tandem, version 1")


def test_result_shows_its_columns_its_score_and_what_brought_it(page: Page, server_address: str) -> None:
    for item in ("Apron é", "Easel é"):
        add_to_history(page, item)
    page.get_by_label("Leave out what is in the history").uncheck()

    apron = result(page, "Apron é")
    expect(apron).to_contain_text("Price19.50")
    expect(apron).to_contain_text("Roomkitchen")
    expect(apron).to_contain_text("by text")
    expect(apron).to_contain_text("text 100 % · behaviour 0 %")
    easel = result(page, "Easel é")
    expect(easel).to_contain_text("by both")
    expect(easel).to_contain_text("text 50 % · behaviour 50 %")
    with Client(server_address) as client:
        (expected,) = client.recommend(histories=[["easel", "apron"]], exclude_seen=False)
    (score,) = [item.score for item in expected if item.item_id == "easel"]
    expect(easel.locator(".score")).to_have_text(f"Score {score:.3f}")


def test_result_says_because_of_what_it_is_recommended(page: Page) -> None:
    because = page.locator("#results .because")
    expect(because).to_have_text(["Popular now"] * 6)

    add_to_history(page, "Fork é")
    expect(because).to_have_text(["Because of Fork é"] * 5)

    page.get_by_label("Leave out what is in the history").uncheck()
    expect(result(page, "Fork é").locator(".because")).to_have_text("They had it before")

    search(page, "a gift")
    expect(because).to_have_text(["Near in meaning"] * 6)


def test_misspelt_word_is_corrected_and_may_be_searched_for_as_typed(page: Page) -> None:
    page.get_by_label("What are they looking for?").fill("aprom")

    expect(page.get_by_role("heading", name="Results for “apron”")).to_be_visible()
    page.get_by_role("button", name="Search instead for aprom").click()
    expect(page.get_by_role("heading", name="Results for “aprom”")).to_be_visible()
    expect(page.get_by_role("button", name="Search instead for aprom")).to_have_count(0)


def test_typing_offers_completions(page: Page) -> None:
    page.get_by_label("What are they looking for?").fill("bas")

    expect(page.locator("#suggestions option")).to_have_attribute("value", "Basket é")


def test_values_refine_a_search_and_numbers_order_it(page: Page) -> None:
    search(page, "a gift")
    before = titles(page)
    hall = page.get_by_role("checkbox", name="hall (")
    expect(hall).to_be_visible()
    hall.check()
    expect(page.locator("#facts")).to_contain_text("2 results")
    expect(page.get_by_role("checkbox", name="hall (")).to_be_checked()

    # Another question begins anew.
    search(page, "a gift for me")
    expect(page.locator("#facts")).to_contain_text("6 results")
    search(page, "a gift")
    page.get_by_label("Order").select_option("-price")
    expect(page.locator("#results h3").first).to_have_text(before[-1])


def test_reason_is_called_by_its_title_and_without_one_by_its_id(page: Page) -> None:
    def explain(route: Route) -> None:
        answer = route.fetch().json()
        answer["results"] = answer["results"][:2]
        for item, title in zip(answer["results"], ("Fork é", ""), strict=True):
            item |= {"reason": "history", "reason_item_id": "elsewhere", "reason_title": title}
        route.fulfill(json=answer)

    page.route("**/api/recommend", explain)
    page.get_by_label("Customer").select_option("12352")

    words = ["Because of Fork é", "Because of elsewhere"]
    expect(page.locator("#results .because")).to_have_text(words)


def test_item_clicked_into_the_history_changes_the_results(page: Page) -> None:
    search(page, "a gift")
    before = titles(page)

    add_to_history(page, "Fork é")

    expect(results(page)).to_have_count(5)
    after = titles(page)
    assert "Fork é" not in after
    assert after != [title for title in before if title != "Fork é"]
    expect(page.locator(".move").first).to_be_visible()
    page.get_by_role("button", name="Remove Fork é from the history").click()
    expect(results(page)).to_have_count(6)
    assert titles(page) == before


def test_known_customer_comes_with_a_history_that_can_be_changed(page: Page) -> None:
    page.get_by_label("Customer").select_option("12352")
    expect(page.get_by_role("heading", name="Recommended for customer 12352")).to_be_visible()
    expect(page.locator("#history li")).to_have_count(2)
    expect(page.locator("#history-note")).to_contain_text("what the model remembers")

    with page.expect_request("**/api/recommend") as request:
        add_to_history(page, "Fork é")

    body = {"user_id": "12352", "history": ["fork", "basket", "candle"], "k": 10, "exclude_seen": True}
    assert request.value.post_data_json == body
    page.get_by_role("button", name="Start over").click()
    expect(page.locator("#history li")).to_have_count(2)


def test_customer_can_be_made_up(page: Page) -> None:
    page.get_by_label("Customer").select_option("Somebody else …")
    expect(page.get_by_label("Their id")).to_be_focused()

    with page.expect_request("**/api/recommend") as request:
        page.keyboard.type("nobody-yet")

    assert (request.value.post_data_json or {})["user_id"] == "nobody-yet"
    expect(page.get_by_role("heading", name="Recommended for customer nobody-yet")).to_be_visible()


def test_similar_items_and_back(page: Page) -> None:
    search(page, "a gift")
    before = titles(page)

    page.get_by_role("button", name="Similar to Fork é").click()

    expect(page.get_by_role("heading", name="Similar to Fork é")).to_be_focused()
    expect(results(page)).to_have_count(5)
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_role("heading", name="Results for “a gift”")).to_be_focused()
    expect(results(page)).to_have_count(6)
    assert titles(page) == before


def test_as_many_results_as_asked_for_and_the_history_too_if_wished(page: Page) -> None:
    page.get_by_label("Results", exact=True).select_option("5")
    expect(results(page)).to_have_count(5)
    page.get_by_label("Results", exact=True).select_option("50")
    add_to_history(page, "Fork é")
    expect(results(page)).to_have_count(5)

    page.get_by_label("Leave out what is in the history").uncheck()

    expect(results(page)).to_have_count(6)
    expect(page.get_by_role("button", name="Remove from history: Fork é")).to_be_visible()


def test_example_of_a_query_is_one_click(page: Page) -> None:
    page.get_by_role("button", name="Search for something for the hall").click()

    expect(page.get_by_label("What are they looking for?")).to_have_value("something for the hall")
    expect(page.get_by_role("heading", name="Results for “something for the hall”")).to_be_visible()


def test_markup_in_a_text_is_shown_as_it_is(page: Page) -> None:
    search(page, "<img src=x onerror=alert(1)>")

    assert page.locator("main img").count() == 0
