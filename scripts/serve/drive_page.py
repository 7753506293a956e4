"""Drives the page of `trainer serve` in headless Chromium, or takes a picture of it.

Needs Playwright (`pip install playwright`) and a Chromium, whose path it takes from CHROMIUM (/usr/bin/chromium).

usage: drive_page.py ADDRESS CONTEXT ANSWER    asks about CONTEXT and expects ANSWER; exit code 0 if all is as it should be
       drive_page.py ADDRESS OUT.png           asks what the page proposes

Last run with Playwright 1.65.2 and Chromium 156.
"""

import os
import sys

from playwright.sync_api import expect, sync_playwright


def main():
    address = sys.argv[1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        problems, requests = [], []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: requests.append(request.url))
        page.on("dialog", lambda dialog: (problems.append("a dialog"), dialog.dismiss()))
        page.goto(address)
        if len(sys.argv) == 3:
            page.get_by_role("button", name="Ask").click()
            page.locator("#answers li").first.wait_for()
            page.screenshot(path=sys.argv[2], full_page=True)
        else:
            drive(page, sys.argv[2], sys.argv[3])
        browser.close()
    # A refused request is an error on the console, and meant here.
    problems = [problem for problem in problems if "422" not in problem]
    assert not problems, problems
    foreign = [url for url in requests if not url.startswith((address, "data:"))]
    assert not foreign, foreign


def drive(page, context, answer):
    cards = page.locator("#answers > li")
    expect(page.locator("#model")).to_have_text("pointer")

    # Two questions by the button; one of them tries to become part of the page.
    script = "<img src=x onerror=alert(1)><b>Who?</b>"
    page.fill("#context", context)
    page.fill("#questions", f"What?\n\n{script}")
    page.get_by_role("button", name="Ask").click()
    expect(cards).to_have_count(2)
    expect(page.locator("#text")).to_have_text(context)
    expect(cards.first.locator(".answer")).to_have_text(answer)
    expect(cards.first.locator(".others li")).to_have_count(2)
    expect(cards.nth(1).locator(".question")).to_have_text(script)
    assert page.locator("img").count() == 0

    # The mark covers the answer's characters, behind characters of several UTF-16 units too.
    expect(page.locator("mark.chosen")).to_have_text(answer)
    page.fill("#context", "\U0001f993\U0001f993 " + context)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#text")).to_contain_text("\U0001f993\U0001f993")
    expect(page.locator("mark.chosen")).to_have_text(answer)

    # No answer, and an answer that is chosen by a click.
    page.fill("#context", "<i>Nothing</i> here.")
    page.keyboard.press("Control+Enter")
    expect(cards.first.locator(".answer")).to_have_text("no answer")
    assert page.locator("mark").count() == 0
    cards.nth(1).click()
    expect(cards.nth(1)).to_have_class("chosen")

    # An error is told, and goes away.
    page.fill("#context", " ")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_have_text("the context is empty")
    expect(page.locator("#result")).to_be_hidden()
    page.fill("#context", context)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#error")).to_be_hidden()
    expect(cards.first.locator(".answer")).to_have_text(answer)


if __name__ == "__main__":
    main()
