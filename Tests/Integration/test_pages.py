"""Every page in Chromium: wide and narrow, light and dark, by keyboard, enlarged, without scripts; and what a first visit costs."""

import os
import subprocess

import pytest

import browser as chromium
from browser import CHROMIUM
from conftest import POSTERN, wait_for
from machines import enrolled, machines  # noqa: F401
from people import PASSWORD, Person, Browser, team
from test_machines import web
from tunnels import edge, services, tunnels  # noqa: F401

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PUBLIC = ["/status", "/about", "/sign-in", "/register", "/forgotten", "/docs", "/docs/share", "/docs?q=tunnel", "/nowhere"]
OWN = ["/home", "/account", "/account/second-factor", "/account/tokens", "/account/sign-ins", "/organisation",
       "/organisation/members", "/organisation/roles", "/organisation/plan", "/organisation/sessions", "/organisation/tunnels",
       "/organisation/machines", "/organisation/domains", "/organisation/audit"]
ADMINISTRATION = ["/administration", "/administration/people", "/administration/organisations", "/administration/tunnels", "/administration/domains",
                  "/administration/notices", "/administration/certificate", "/administration/backups", "/administration/settings",
                  "/administration/about", "/administration/audit"]
SIZES = [(1280, 900), (768, 1000), (390, 800)]

# In the page: what is wrong with it, in words. Text is measured against what is really painted behind it (WCAG 2.2, 1.4.3).
LOOK = r"""
(() => {
  const wrong = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) {
    const wide = [...document.body.querySelectorAll("*")].filter((one) => !one.closest(".scroll, pre, .unseen, .skip")
      && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.tagName + "." + one.className).slice(0, 4);
    wrong.push(`wider than the window: ${root.scrollWidth} > ${innerWidth}: ${wide}`);
  }
  const parse = (text) => { const parts = text.match(/[\d.]+/g).map(Number); return [...parts.slice(0, 3), parts[3] ?? 1]; };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)];
  const luminance = (color) => { const [r, g, b] = color.map((c) => { const v = c / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (element) => {
    const stack = [];
    for (let one = element; one; one = one.parentElement) stack.push(parse(getComputedStyle(one).backgroundColor));
    return stack.reverse().reduce((below, color) => over(color, below), matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const low = new Set();
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || element.closest("svg, .unseen, script, style, noscript, option")) continue;
    const back = behind(element), front = over(parse(getComputedStyle(element).color), back);
    const [a, b] = [luminance(front), luminance(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.add(`${ratio.toFixed(2)} for "${node.data.trim().slice(0, 30)}" in ${element.tagName}.${element.className}`);
  }
  for (const one of low) wrong.push("too little contrast: " + one);
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) != index))) wrong.push("two elements have the id " + id);
  if (document.querySelectorAll("main").length != 1) wrong.push("not one main");
  if (document.querySelectorAll("h1").length != 1) wrong.push("not one h1");
  if (!document.title || !root.lang) wrong.push("no title or language");
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!field.labels.length && !field.getAttribute("aria-label")) wrong.push("a field without a label: " + field.name);
  }
  for (const one of document.querySelectorAll("button, a[href], summary")) {
    if (!one.textContent.trim() && !one.getAttribute("aria-label")) wrong.push("a control without a name: " + one.outerHTML.slice(0, 80));
  }
  for (const one of document.querySelectorAll("svg:not([aria-hidden])")) if (one.getAttribute("role") != "img" || !one.getAttribute("aria-label")) wrong.push("a picture without words");
  for (const one of document.querySelectorAll("[aria-describedby]")) for (const id of one.getAttribute("aria-describedby").split(" ")) if (!document.getElementById(id)) wrong.push("describedby " + id);
  if (document.querySelector("[style], style, script:not([src])")) wrong.push("styles or scripts in the page itself");
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((one) => +one.tagName[1]);
  for (let i = 1; i < levels.length; i++) if (levels[i] > levels[i - 1] + 1 && !document.querySelector(".side")) wrong.push("a heading of level " + levels[i] + " below one of " + levels[i - 1]);
  return wrong;
})()
"""


@pytest.fixture
def browser(tmp_path):
    one = chromium.Browser(tmp_path / "chromium")
    yield one
    one.close()


def text(page):
    return page.value("document.body?.innerText ?? ''")


def loaded(page, path, url):
    """Goes there, and waits for the page and its style."""
    page.go(url + path)
    wait_for(lambda: page.value("document.readyState") == "complete" and page.value("location.pathname + location.search") == path
             and page.value("document.querySelector('main') != null"), lambda: f"{path}; it is {page.value('location.href')}")


def signed_in(browser, url, name, **size):
    page = browser.open(url + "/sign-in", **size)
    wait_for(lambda: "Password" in text(page), lambda: text(page))
    page.value(f"document.querySelector('[name=username]').value = {name!r}; document.querySelector('[name=password]').value = {PASSWORD!r};"
               "document.querySelector('main form button').click()")
    wait_for(lambda: "Overview" in text(page), lambda: text(page))
    return page


@pytest.fixture
def house(edge, machines, services, shares):
    """A server with something on every page. Its administrator is mia."""
    mia = Person(edge, "mia", "--admin")
    ana = Person(edge, "ana")
    team(mia, [(ana, "admin")], name="Weather balloon")
    state = ["--state", edge.state]
    for command in (["incident", "post", "The disk is being replaced; back at 18:00 UTC"],):
        subprocess.run([POSTERN, *command, *state], check=True, capture_output=True)
    box = enrolled(edge, mia, machines(), "--name", "attic")
    box.start(web(services(), name="demo"))
    box.online("web")
    shares.append(mia.api.share("--name", "evening", "--", "sleep", "600"))
    mine = Browser(edge)
    mine.sign_in(mia)
    assert mine.post("/administration/about", about="This server belongs to a few friends.\n\nhttps://example.org/").status == 303
    assert mine.post("/account/tokens", name="backup script", days="30").status == 200
    assert mine.post("/account/second-factor").status == 303
    edge.mia, edge.ana, edge.box = mia, ana, box
    return edge


def picture(page, name):
    """For a person to look at: POSTERN_PICTURES=DIRECTORY."""
    if directory := os.environ.get("POSTERN_PICTURES"):
        height = page.value("Math.min(4000, Math.max(innerHeight, document.documentElement.scrollHeight))")
        width = page.value("innerWidth")
        page.size(width, height)
        page.picture(f"{directory}/{name}.png")


def test_every_page_is_whole_at_every_size_in_light_and_dark(house, browser):
    found = []
    for dark in (False, True):
        page = signed_in(browser, house.url, "mia", width=1280, height=900, dark=dark)
        stranger = browser.open(house.url + "/status", dark=dark)
        machine = house.mia.call("GET", "/machines")[1][0]["id"]
        own = [*OWN, *ADMINISTRATION, f"/organisation/machines/{machine}", f"/organisation/machines/{machine}/change",
               "/organisation/tunnels/demo/access"]
        for reader, paths in ((stranger, PUBLIC), (page, own)):
            for width, height in SIZES:
                for path in paths:
                    reader.size(width, height)
                    loaded(reader, path, house.url)
                    found += [f"{path} {width} {'dark' if dark else 'light'}: {one}" for one in reader.value(LOOK)]
                    name = path.strip("/").replace("/", "-").replace("?", "-").replace(machine, "ID") or "root"
                    picture(reader, f"{name}-{width}-{'dark' if dark else 'light'}")
        # 404 is what the page that is not there answers, and 403 where strangers make no accounts.
        found += [one for one in page.problems() + stranger.problems() if not one.endswith(("/nowhere", "/register"))]
    assert not found, "\n".join(sorted(set(found)))


def test_a_page_twice_as_large_still_fits(house, browser):
    # 200 % of zoom: half the window in CSS pixels (WCAG 2.2, 1.4.4 and 1.4.10).
    page = signed_in(browser, house.url, "mia", width=640, height=450, scale=2)
    found = []
    for path in [*OWN, *ADMINISTRATION]:
        loaded(page, path, house.url)
        found += [f"{path}: {one}" for one in page.value(LOOK)]
    assert not found, "\n".join(found)


def focused(page):
    return page.value("(() => { const one = document.activeElement; const style = getComputedStyle(one); return [one.tagName,"
                      " (one.textContent || one.id || one.name).trim(), style.outlineStyle != 'none' && parseFloat(style.outlineWidth) > 1]; })()")


def test_everything_is_reached_and_used_by_keyboard(house, browser):
    page = signed_in(browser, house.url, "mia")
    loaded(page, "/organisation/tunnels", house.url)
    page.key("Tab")
    assert focused(page)[:2] == ["A", "Skip to the content"]
    seen = []
    for _ in range(80):
        tag, name, is_shown = focused(page)
        if tag == "BODY":
            break
        assert is_shown, f"{tag} {name} has the focus, and nothing shows it"
        seen.append(name)
        page.key("Tab")
    count = page.value("[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')]"
                       ".filter((one) => one.checkVisibility() && !(one.closest('details:not([open])') && one.tagName != 'SUMMARY')).length")
    assert len(seen) >= count, f"{len(seen)} of {count}: {seen}"
    assert {"Overview", "Pause", "Stop", "Remove", "Sign out"} <= set(seen)
    # What cannot be undone asks, and Return opens the question.
    page.value("[...document.querySelectorAll('summary')].find((one) => one.textContent == 'Remove').focus()")
    page.key("Enter")
    wait_for(lambda: "stops working" in text(page), lambda: text(page))
    # On a phone's screen the menu opens by a key as well.
    page.size(390, 800)
    loaded(page, "/home", house.url)
    assert page.value("document.querySelector('.side nav').checkVisibility()") is False
    page.value("document.querySelector('#menu').focus()")
    page.key(" ")
    wait_for(lambda: page.value("document.querySelector('.side nav').checkVisibility()"), "an open menu")


def test_what_a_screen_reader_is_told(house, browser):
    page = signed_in(browser, house.url, "mia")
    loaded(page, "/organisation/members", house.url)
    page.send("Accessibility.enable")
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    known = {}
    for node in nodes:
        if not node.get("ignored"):
            known.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    assert len(known["main"]) == 1 and "Pages" in known["navigation"] and len(known["banner"]) == 1
    assert known["heading"].count("Members") == 1 and "Members" in known["table"]
    for role in ("link", "button", "textbox", "combobox", "checkbox"):
        assert all(known.get(role, [])), f"a {role} without a name"
    current = page.value("document.querySelector('[aria-current=page]')?.textContent")
    assert current == "Members" or page.value("document.querySelector('[aria-current=page]') == null")


def test_without_scripts_every_page_is_there_and_forms_work(house, browser):
    page = browser.open("about:blank")
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    loaded(page, "/sign-in", house.url)
    page.click("#username")
    page.type("mia")
    page.click("#password")
    page.type(PASSWORD + "\n")
    wait_for(lambda: "Overview" in text(page), lambda: text(page))
    for path in [*PUBLIC, *OWN, *ADMINISTRATION]:
        loaded(page, path, house.url)
        assert len(text(page)) > 50, path
    loaded(page, "/organisation", house.url)
    page.click("#new-name")
    page.type("Paper kite\n")
    wait_for(lambda: "Paper kite is created" in text(page), lambda: text(page))
    # The page that shows what goes on loads itself again.
    loaded(page, "/organisation/machines", house.url)
    assert page.value("document.querySelector('noscript meta, meta[http-equiv=refresh]') != null")


@pytest.mark.parametrize("path", ["/status", "/sign-in", "/docs", "/home"])
def test_a_first_visit_is_small(house, browser, path):
    page = signed_in(browser, house.url, "mia") if path == "/home" else browser.open("about:blank")
    page.send("Network.clearBrowserCache")
    page.send("Network.setCacheDisabled", cacheDisabled=True)
    page.browser.events.clear()
    loaded(page, path, house.url)
    wait_for(lambda: page.value("document.fonts.status") == "loaded", "a page at rest")
    page.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))")
    events = [one for one in page.browser.events if one.get("sessionId") == page.session]
    asked = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
    # What it holds open to follow the server comes after the page is there.
    asked = [one for one in asked if "/events" not in one and not one.startswith("data:")]
    size = sum(one["params"]["encodedDataLength"] for one in events if one["method"] == "Network.loadingFinished")
    assert len(asked) <= 3, asked
    assert 0 < size < 60_000, size


def test_a_form_that_is_not_taken_comes_back_filled(house):
    ana = Browser(house)
    assert ana.sign_in(house.ana).status == 303
    answer = ana.post("/account/tokens", name="my script", days="never")
    assert answer.status == 400 and 'value="my script"' in answer.text and 'aria-invalid="true"' in answer.text
    assert "Write a number" in answer.text and 'id="days-mistake"' in answer.text
    answer = ana.post("/account/password", "/account", old="wrong wrong wrong", new="short")
    assert answer.status in (400, 401, 403) and "Your account" in answer.text and "wrong wrong wrong" not in answer.text
    answer = ana.post("/organisation/create", "/organisation", name="x" * 200)
    assert answer.status == 400 and "x" * 200 in answer.text and "Organisations" in answer.text
    # Somebody who registers keeps what was typed but the password.
    admin = Browser(house)
    admin.sign_in(house.mia)
    admin.post("/organisation/create", "/organisation", name="Kite club")
    made = admin.post("/organisation/invitations", "/organisation/members", email="", role="member")
    secret = made.text.split("/invitation/")[1].split("<")[0]
    new = Browser(house)
    answer = new.post("/register", f"/register?invitation={secret}", username="Kim", email="kim@example.org", password="short", invitation=secret)
    assert answer.status == 400 and 'value="Kim"' in answer.text and 'value="kim@example.org"' in answer.text
    assert secret in answer.text and 'value="short"' not in answer.text
    answer = new.post("/register", f"/register?invitation={secret}", username="mia", email="", password=PASSWORD, invitation=secret)
    assert answer.status == 409 and 'value="mia"' in answer.text
    # A wrong password at the sign-in keeps the name and where one was going.
    answer = new.post("/sign-in", username="mia", password="wrong wrong wrong", next="/organisation/plan")
    assert answer.status == 401 and 'value="mia"' in answer.text and 'value="/organisation/plan"' in answer.text


def test_a_long_text_comes_back_and_is_not_lost(house):
    mia = Browser(house)
    mia.sign_in(house.mia)
    text = "Ж" * 5_000
    assert mia.post("/administration/about", about=text).status == 303 and text in house.page("/about")
    answer = mia.post("/administration/about", about=text + "x")
    assert answer.status == 400 and text + "x" in answer.text and text in house.page("/about")
    # What is too long to be read is refused, and no empty form stands in its place.
    answer = mia.post("/administration/about", about="x" * 100_000)
    assert answer.status == 413 and "<textarea" not in answer.text and text in house.page("/about")


def test_a_refused_change_of_one_role_does_not_show_in_others(house):
    mia = Browser(house)
    mia.sign_in(house.mia)
    mia.post("/organisation/create", "/organisation", name="Kite club")
    for name in ("pilot", "judge"):
        assert mia.post("/organisation/roles", name=name, permission=["tenant:read"]).status == 303
    page = mia.get("/organisation/roles").text
    pilot, judge = (page.split(f"What {name} may do")[1].split('name="id" value="')[1].split('"')[0] for name in ("pilot", "judge"))
    answer = mia.post("/organisation/roles/change", "/organisation/roles", id=pilot, permission=["tenant:read", "nonsense", "audit:read"])
    assert answer.status == 400
    boxes = lambda name: answer.text.split(f"What {name} may do")[1].split("</section>")[0]
    assert 'value="audit:read" checked' in boxes("pilot") and 'value="audit:read" checked' not in boxes("judge")


def test_administrators_do_on_pages_what_commands_do(house):
    mia = Browser(house)
    mia.sign_in(house.mia)
    answer = mia.post("/administration/people", name="kim", plan="pro", admin="")
    assert answer.status == 200 and "/reset/" in answer.text
    secret = answer.text.split("/reset/")[1].split("<")[0]
    kim = Browser(house)
    assert kim.post(f"/reset/{secret}", password=PASSWORD).status == 200
    assert kim.post("/sign-in", username="kim", password=PASSWORD).location == "/home"
    assert kim.get("/administration/people").status == 403
    # A form that somebody may not send does not bring its page, with or without the page's own token.
    for path in ("people", "people/reset", "people/plan", "plan", "notices", "backups", "about", "tunnels/change"):
        for token in (None, "0"):
            answer = kim.post(f"/administration/{path}?after=", "/account", token=token, name="mia", text="x")
            assert answer.status == 403 and "mia" not in answer.text and "<table" not in answer.text, path
    assert mia.post("/administration/people", name="kim", plan="", admin="").status == 409
    assert mia.post("/administration/people", name="not a name", plan="").status == 400
    assert mia.post("/administration/people/plan", "/administration/people", name="kim", plan="team").status == 303
    assert mia.post("/administration/people/disable", "/administration/people", name="kim").status == 303
    assert kim.get("/home").status == 303
    assert mia.post("/administration/people/enable", "/administration/people", name="kim").status == 303
    assert mia.post("/administration/people/disable", "/administration/people", name="mia").status == 409
    assert mia.post("/administration/notices", text="Back at six").status == 303
    assert "Back at six" in house.page("/status")
    notice = mia.get("/administration/notices").text.split('name="id" value="')[1].split('"')[0]
    assert mia.post("/administration/notices/end", "/administration/notices", id=notice).status == 303
    assert "Back at six" not in house.page("/status")
    # The first one is made with the start; another so soon would only push an older one out.
    wait_for(lambda: ".db</code>" in mia.get("/administration/backups").text, "a backup")
    answer = mia.post("/administration/backups")
    assert answer.status == 409 and "less than a minute old" in answer.text and ".db</code>" in answer.text
    assert "tls-mode" in mia.get("/administration/settings").text
    assert "a few friends" in house.page("/about") and 'href="https://example.org/"' in house.page("/about")
    events = mia.get("/administration/audit?action=owner_text.set").text
    assert "owner_text.set" in events


def test_an_open_page_follows_what_happens_and_learns_what_it_missed(house, browser, services, tunnels):
    page = signed_in(browser, house.url, "mia")
    loaded(page, "/organisation/machines", house.url)
    wait_for(lambda: "online" in text(page), lambda: text(page))
    page.value("globalThis.marked = true")
    house.box.stop("kill")
    wait_for(lambda: "offline" in text(page), lambda: text(page))
    house.box.start()
    wait_for(lambda: "online" in text(page), lambda: text(page))
    # The page itself was not loaded again.
    assert page.value("globalThis.marked") is True
    # What a browser missed comes by the number of the last event; what nobody knows any more is `reset`.
    listen = """(last) => new Promise((done, failed) => fetch('/events?topics=machines', last ? { headers: { 'Last-Event-ID': last } } : {})
        .then(async (answer) => { const reader = answer.body.getReader(); let text = '';
          while (!/event: (changed|reset)/.test(text)) { const part = await reader.read(); if (part.done) break; text += new TextDecoder().decode(part.value); }
          reader.cancel(); done(answer.status + ' ' + text); }, failed))"""
    lost = page.value(f"({listen})('another-run-7')")
    assert lost.startswith("200 retry: 2000") and "event: reset" in lost
    last = lost.split("id: ")[1].split("\n")[0]
    house.box.stop("kill")
    wait_for(lambda: "offline" in text(page), lambda: text(page))
    missed = page.value(f"({listen})({last!r})")
    assert "event: changed\ndata: machines" in missed and "event: reset" not in missed


def test_events_are_for_those_who_may_hear_them(house):
    ana = Browser(house)
    ana.sign_in(house.ana)
    assert ana.get("/events?topics=server").status == 403
    assert ana.get("/events?topics=nonsense").status == 400 and ana.get("/events").status == 400
    assert Browser(house).get("/events?topics=machines").location.startswith("/sign-in")
    # Nothing is held for a request that only looks, however often.
    for _ in range(20):
        answer = ana.request("HEAD", "/events?topics=machines")
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")


def test_what_is_public_can_be_found_packed_and_kept(house):
    stranger = Browser(house)
    robots = stranger.get("/robots.txt")
    assert robots.status == 200 and "Disallow: /\n" in robots.text and "Allow: /docs" in robots.text
    assert stranger.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
    for path in ("/status", "/about", "/docs", "/docs/share"):
        page = stranger.get(path)
        assert '<meta name="description"' in page.text and '<meta property="og:title"' in page.text, path
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert '<meta name="robots" content="noindex">' in stranger.get("/sign-in").text
    document = stranger.get("/docs/share")
    again = stranger.request("GET", "/docs/share", headers={"If-None-Match": document.headers["etag"]})
    assert again.status == 304 and again.text == ""
    found = stranger.get("/docs?q=second+factor").text
    assert "/docs/accounts#a-second-factor" in found and "<mark>" in found
    assert "Nothing found" in stranger.get("/docs?q=%3Cscript%3Exyz").text and "<script>xyz" not in stranger.get("/docs?q=%3Cscript%3Exyz").text
    assert stranger.get("/docs/nowhere").status == 404 and stranger.get("/docs/images/nothing.png").status == 404
    picture = subprocess.run(["curl", "-ksSf", house.url + "/docs/images/status.png"], check=True, capture_output=True).stdout
    assert picture.startswith(b"\x89PNG")
    # A person gets a page for what is not there, and a program JSON.
    assert "No such page" in stranger.request("GET", "/docs/nowhere", headers={"Accept": "text/html"}).text
    packed = subprocess.run(
        ["curl", "-ksS", "-H", "Accept-Encoding: gzip", "-o", "/dev/null", "-w", "%{size_download} %{header_json}", house.url + "/docs/configure"],
        check=True, capture_output=True, text=True).stdout
    plain = len(stranger.get("/docs/configure").text)
    assert int(packed.split()[0]) < plain / 2 and '"content-encoding":["gzip"]' in packed
