"""The pages about machines in Chromium: signed in by the form, live, without scripts, and never asked for a certificate."""

import os

import pytest

from browser import CHROMIUM, Browser
from conftest import wait_for
from machines import enrolled, machines  # noqa: F401
from people import PASSWORD, Person
from test_machines import web
from tunnels import edge, services, tunnels  # noqa: F401

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "chromium")
    yield browser
    browser.close()


def text(page):
    return page.value("document.body?.innerText ?? ''")


def picture(page, name):
    """For a person to look at: POSTERN_PICTURES=DIRECTORY."""
    if directory := os.environ.get("POSTERN_PICTURES"):
        page.picture(f"{directory}/{name}.png")


def test_the_pages_show_a_machine_as_it_is_now(edge, machines, services, browser):
    edge.user("admin", "--admin")
    ana = Person(edge, "ana")
    page = browser.open(edge.url + "/sign-in?next=/organisation/machines", height=900)
    wait_for(lambda: "Password" in text(page), lambda: text(page))
    page.value(f"document.querySelector('[name=username]').value = 'ana'; document.querySelector('[name=password]').value = {PASSWORD!r};"
               "document.querySelector('main form button').click()")
    wait_for(lambda: "No machines yet" in text(page), lambda: text(page))
    picture(page, "machines-empty")
    page.value("[...document.querySelectorAll('button')].find(one => one.textContent == 'Add a machine').click()")
    wait_for(lambda: "postern machine enroll" in text(page), lambda: text(page))
    picture(page, "machines-invite")
    box = enrolled(edge, ana, machines(), "--name", "attic")
    box.start(web(services(), name="demo"))
    box.online("web")
    page.go(edge.url + "/organisation/machines")
    # The page loads itself again: nothing is clicked.
    wait_for(lambda: "attic" in text(page) and "online" in text(page), lambda: text(page))
    picture(page, "machines")
    page.size(390, 800)
    picture(page, "machines-narrow")
    page.size(1280, 900)
    page.value("[...document.links].find(one => one.textContent == 'attic').click()")
    wait_for(lambda: "Memory used" in text(page) and "demo." in text(page), lambda: text(page))
    picture(page, "machine")
    box.stop("kill")
    wait_for(lambda: "offline" in text(page), lambda: text(page))
    assert page.problems() == []
