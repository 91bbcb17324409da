"""The browser's guest: a real `postern share` beside Chromium, whose page shows what the host's terminal does, cell by cell."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser
from conftest import LINES, PATIENCE, POSTERN, wait_for
from test_reconnect import gate, through  # noqa: F401

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is missing; run make setup")
SHELL = "bash --norc --noprofile"
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


class Session:
    """A host in a tmux pane, and the links that it prints."""

    def __init__(self, tmux, ana, options="", command=SHELL, columns=80, rows=24, environment=None):
        self.tmux = tmux
        self.host = tmux.pane("host", f"{POSTERN} share {options} -- {command}", environment or ana.environment, columns, rows)
        wait_for(lambda: self.banner.count("/j/") == (1 if "--read-only" in options else 2), lambda: self.host.screen)
        links = re.findall(r"(https?://\S+/j/\S+)", self.banner)
        self.link, self.read_link = links[0], links[-1]
        self.words = re.search(r"postern join (\S+)\n", self.banner).group(1)
        if command == SHELL:
            self.host.type("clear\n")
            wait_for(lambda: "/j/" not in self.host.screen, "a clear screen")

    @property
    def banner(self):
        return self.tmux.run("capture-pane", "-p", "-J", "-t", "host")

    def same(self, *pages):
        """Every cell, colour and attribute of the host's terminal is in each page."""
        def differences():
            expected = host_cells(self.host)
            return [(row, want, got) for page in pages for row, (want, got) in enumerate(zip(expected, page_cells(page)))
                    if want != got]
        wait_for(lambda: not differences(), lambda: f"equal screens; they differ in {differences()[:2]}\n{self.host.screen}")


@pytest.fixture
def session(tmux, ana):
    return lambda *arguments, **options: Session(tmux, ana, *arguments, **options)


ATTRIBUTES = {1: "bold", 2: "faint", 3: "italic", 4: "underline", 5: "blink", 8: "hidden", 9: "struck"}


def css(color):
    """A colour as the page spells it, from tmux's parameters."""
    if color is None:
        return ""
    if isinstance(color, tuple):
        return f"rgb({color[0]}, {color[1]}, {color[2]})"
    if color < 16:
        return f"var(--color-{color})"
    level = lambda part: 0 if part == 0 else 55 + 40 * part
    value = color - 16
    parts = (8 + 10 * (color - 232),) * 3 if color >= 232 else (level(value // 36), level(value // 6 % 6), level(value % 6))
    # A program may have changed it.
    return f"var(--color-{color}, rgb({' '.join(map(str, parts))}))"


def host_cells(pane):
    """Rows of (character, foreground, background, attributes) as tmux has them, without trailing blanks."""
    # -N: blanks at a line's end may have a background.
    text = pane.tmux.run("capture-pane", "-e", "-N", "-p", "-t", pane.name)
    text = re.sub("\x0e([^\x0f]*)\x0f", lambda run: run.group(1).translate(LINES), text)
    lines = text.split("\n")[:-1]
    foreground, background, attributes = None, None, set()
    rows = []
    for line in lines:
        row = []
        for part in re.split(r"(\x1b\[[0-9;:]*m)", line):
            if not part.startswith("\x1b["):
                for character in part:
                    if row and (re.match(r"[\u0300-\u036f\ufe0f\u200d]", character) or row[-1][0].endswith("\u200d")):
                        row[-1] = (row[-1][0] + character, *row[-1][1:])
                        continue
                    front, back = css(foreground), css(background)
                    if "bold" in attributes and isinstance(foreground, int) and foreground < 8:
                        front = css(foreground + 8)
                    if "inverse" in attributes:
                        front, back = back or "var(--background)", front or "var(--foreground)"
                    row.append((character, front, back, " ".join(sorted(attributes - {"inverse"}))))
                continue
            codes = [int(code or 0) for code in re.split("[;:]", part[2:-1])]
            while codes:
                code = codes.pop(0)
                if code == 0:
                    foreground, background, attributes = None, None, set()
                elif code == 7:
                    attributes.add("inverse")
                elif code in ATTRIBUTES:
                    attributes.add(ATTRIBUTES[code])
                elif code in (38, 48):
                    kind = codes.pop(0)
                    color = codes.pop(0) if kind == 5 else tuple(codes.pop(0) for _ in range(3))
                    foreground, background = (color, background) if code == 38 else (foreground, color)
                elif 30 <= code <= 37:
                    foreground = code - 30
                elif 90 <= code <= 97:
                    foreground = code - 82
                elif code == 39:
                    foreground = None
                elif 40 <= code <= 47:
                    background = code - 40
                elif 100 <= code <= 107:
                    background = code - 92
                elif code == 49:
                    background = None
                else:
                    raise AssertionError(f"SGR {code}")
        rows.append(seen(row))
    return rows


def seen(row):
    """What of a row can be seen: a blank has no foreground unless it is underlined or struck, and trailing ones are nothing."""
    row = [(character, "" if character == " " else front, back, "" if character == " " else names)
           if not {"underline", "struck"} & set(names.split()) else (character, front, back, names)
           for character, front, back, names in row]
    while row and row[-1] == (" ", "", "", ""):
        row.pop()
    return row


CELLS = """[...document.querySelectorAll('#screen > div')].map((row) => {
  const cells = [...row.childNodes].flatMap((node) => {
    if (node.nodeName === 'BR') return [];
    const style = node.style ?? {};
    const names = [...(node.classList ?? [])].filter((name) => name !== 'box' && name !== 'wide').sort().join(' ');
    const characters = node.classList?.contains('box') ? [node.textContent] : [...node.textContent];
    return characters.map((character) => [character, style.color ?? '', style.backgroundColor ?? '', names]);
  });
  return cells;
})"""


def page_cells(page):
    return [seen([tuple(cell) for cell in row]) for row in page.value(CELLS)]


def test_a_link_opens_the_terminal(session, browser, shares):
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    page.type("echo $((6 * 7)) violets; echo wörld 漢字 👍\n")
    share.host.wait("42 violets")
    page.wait("42 violets")
    share.same(page)
    # The secret is neither in the address nor in what was sent.
    assert page.value("location.href") == share.link.split("#")[0]
    # A reload of the tab is the same guest again.
    page.send("Page.reload")
    page.wait("42 violets")
    share.same(page)
    share.host.type("exit 7\n")
    page.wait_state("ended")
    assert "exit status was 7" in page.message
    assert page.problems() == []


def test_programs_look_as_they_do_at_the_host(session, browser, tmp_path):
    share = session()
    page = browser.open(share.link, dark=True)
    page.wait("$")
    notes = tmp_path / "notes.txt"
    notes.write_text("".join(f"line {number} of a file that is longer than the window\n" for number in range(200)))
    # Colours, attributes, wide characters, and what combines.
    colors = tmp_path / "colors.py"
    colors.write_text(r'''
for n in range(16): print(f"\x1b[38;5;{n}m{n:3}\x1b[48;5;{255 - n}m{n:3}", end="\x1b[0m")
print()
for n in range(30, 38): print(f"\x1b[{n}ma\x1b[1mb\x1b[0m\x1b[{n + 60}mc\x1b[{n + 10}md\x1b[0m", end=" ")
print("\n\x1b[38;2;10;200;30mtrue\x1b[48;2;90;0;90mcolour\x1b[0m \x1b[7minverse\x1b[0m")
for n, name in ((1, "bold"), (2, "faint"), (3, "italic"), (4, "underline"), (9, "struck")): print(f"\x1b[{n}m{name}\x1b[0m", end=" ")
print("\n漢字かな 👍🏽 é e\u0301 ½ ┌─┐ │x│ └─┘ ░▒▓")
print("\x1b(0lqqk\x1b(B")
print("\x1b]8;;https://box.example/x\x1b\\a link\x1b]8;;\x1b\\ and \x1b]8;;javascript:alert(1)\x1b\\none\x1b]8;;\x1b\\")
''')
    page.type(f"python3 {colors}\n")
    page.wait("a link")
    share.same(page)
    # Links can be followed, where they lead to the web.
    assert page.value("[...document.querySelectorAll('#screen a')].map((link) => [link.textContent, link.href, link.rel])") == [
        ["a link", "https://box.example/x", "noopener noreferrer"]]
    page.type(f"cd {tmp_path}; clear; vim -u NONE notes.txt\n")
    page.wait("line 20 of")
    page.type("10jihello \x1b")
    page.key("Escape")
    page.wait("hello")
    share.same(page)
    # A program that ends may throw away what was typed ahead of the prompt.
    prompt = lambda: wait_for(lambda: page.screen.rstrip().endswith("$"), "the prompt")
    page.type(":q!\n")
    prompt()
    page.type("clear; less notes.txt\n")
    page.wait("line 20 of")
    page.type("/line 150\n")
    page.wait("line 150 of")
    share.same(page)
    page.type("q")
    prompt()
    page.type("clear; htop -d 600\n")
    page.wait("PID")
    share.same(page)
    page.type("q")
    prompt()
    # A build's output: much of it, and the end is the same.
    page.type("clear; for i in $(seq 3000); do echo \"[$i/3000] Compiling module_$i\"; done; echo built\n")
    page.wait("\nbuilt")
    share.same(page)
    # What has scrolled off can be looked at above the screen.
    wait_for(lambda: "[2970/3000]" in page.value("document.getElementById('history').textContent"), "the history")
    assert page.value("document.querySelectorAll('#history > div').length") <= 1000
    assert page.problems() == []


def test_colours_that_a_program_changes(session, browser, tmp_path):
    """OSC 4, 10 to 12 and their resets, also for what is painted already and for a guest that comes later."""
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    color = lambda page, text, what="color": page.value(
        "(() => { const found = [...document.querySelectorAll('#screen span')].find((one) => one.textContent === %s);"
        " return found && getComputedStyle(found)[%s]; })()" % (json.dumps(text), json.dumps(what)))
    ground = lambda page: page.value(
        "((style) => [style.color, style.backgroundColor])(getComputedStyle(document.getElementById('terminal')))")
    shown = tmp_path / "shown"
    shown.write_text("\x1b[31mone\x1b[0m \x1b[38;5;100mhundred\x1b[0m \x1b[48;5;200mback\x1b[0m\n")
    page.type(f"PS1='$ '; clear; cat {shown}\n")
    page.wait("one hundred back")
    own, plain = color(page, "one"), ground(page)
    assert color(page, "hundred") == "rgb(135, 135, 0)" and color(page, "back", "backgroundColor") == "rgb(255, 0, 215)"
    changed = tmp_path / "changed"
    changed.write_text("\x1b]4;1;rgb:12/34/5678;100;#abc\x07\x1b]4;200;nosuchcolour\x07\x1b]10;#102030405060;rgb:f/0/8\x07\x1b]12;red\x07done\n")
    page.type(f"cat {changed}\n")
    page.wait("done")
    wait_for(lambda: color(page, "one") == "rgb(18, 52, 86)", lambda: color(page, "one"))
    late = browser.open(share.link)
    late.wait("done")
    for one in (page, late):
        # `#abc` has the leading digits: a0 b0 c0. A name that browsers do not know changes nothing.
        assert color(one, "hundred") == "rgb(160, 176, 192)" and color(one, "back", "backgroundColor") == "rgb(255, 0, 215)"
        assert ground(one) == ["rgb(16, 48, 80)", "rgb(255, 0, 136)"]
        assert one.value("document.getElementById('terminal').style.getPropertyValue('--cursor')") == "red"
        # The page around the terminal keeps its own colours.
        assert one.value("getComputedStyle(document.body).backgroundColor") == plain[1]
    page.type("printf '\\033[?5hre''versed\\n'\n")
    page.wait("\nreversed")
    wait_for(lambda: ground(page) == ["rgb(255, 0, 136)", "rgb(16, 48, 80)"], lambda: ground(page))
    page.type("printf '\\033[?5l\\033]104\\a\\033]110\\a\\033]111\\a\\033]112\\are''set\\n'\n")
    page.wait("\nreset")
    wait_for(lambda: (color(page, "one"), ground(page)) == (own, plain), lambda: (color(page, "one"), ground(page)))
    assert color(page, "hundred") == "rgb(135, 135, 0)"
    assert page.problems() == []


def test_the_hosts_window_changes_and_the_page_follows(session, browser):
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    for columns, rows in ((120, 40), (60, 15), (80, 24)):
        share.host.resize(columns, rows)
        wait_for(lambda: page.value("document.querySelectorAll('#screen > div').length") == rows, f"{rows} rows")
        share.host.type("clear; stty size\n")
        page.wait(f"{rows} {columns}")
        share.same(page)


def test_a_long_paste_arrives_whole(session, browser, tmp_path):
    """100 KB through brackets and the host's credit."""
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    target = tmp_path / "pasted"
    page.type(f"stty raw -echo; echo re''ady; head -c 100000 > {target}; stty sane; echo pasted\n")
    page.wait("ready")
    text = "".join(f"{number:07d} the quick brown fox\n" for number in range(100000 // 28 + 1))[:100000]
    page.value("""(() => { const data = new DataTransfer(); data.setData('text/plain', %s);
        document.getElementById('keyboard').dispatchEvent(
          new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })); })()""" % json.dumps(text))
    wait_for(lambda: "pasted\n" in page.screen.split("ready")[1], lambda: page.screen)
    # Not compared by assert: it would look for the differences of 100 KB, line by line.
    arrived = target.read_bytes() == text.replace("\n", "\r").encode()
    assert arrived


def test_the_mouse_is_the_programs_where_it_asks_for_it(session, browser, tmp_path):
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    page.type("printf '\\e[?1000h\\e[?1006h'; cat -v\n")
    share.host.wait("cat -v")
    wait_for(lambda: page.value("postern.view.state.mouse") == 1000, "the mouse")
    x, y, width, height = page.value("(() => { const b = document.getElementById('screen').getBoundingClientRect();"
                                     "return [b.x, b.y, b.width / 80, b.height / 24]; })()")
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, x + 9.5 * width, y + 4.5 * height, button="left", clickCount=1)
    page.mouse("mouseWheel", x + 9.5 * width, y + 4.5 * height, deltaX=0, deltaY=-100)
    page.type("\n")
    page.wait("^[[<0;10;5M^[[<0;10;5m^[[<64;10;5M")


def test_a_watcher_types_nothing(session, browser):
    share = session()
    page = browser.open(share.read_link)
    page.wait("$")
    page.type("echo typed\n")
    share.host.type("echo by the host\n")
    page.wait("\nby the host")
    share.same(page)
    assert "typed" not in share.host.screen
    assert page.value("document.getElementById('badge').textContent") == "read-only"


def test_a_removed_guest_is_told(session, browser):
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    share.host.key("C-]")
    share.host.wait("remove a guest")
    share.host.type("k1")
    page.wait_state("ended")
    assert "the host removed you" in page.message


def test_everybody_together(session, browser, ben, tmux):
    """Two browser guests and one on the command line type into one shell."""
    share = session()
    pages = [browser.open(share.link), browser.open(share.link)]
    guest = tmux.pane("guest", f"{POSTERN} join '{share.link}'", ben.environment)
    for page in pages:
        page.wait("$")
    guest.wait("$")
    pages[0].type("echo one\n")
    share.host.wait("\none")
    pages[1].type("echo two\n")
    share.host.wait("\ntwo")
    guest.type("echo three\n")
    share.host.wait("\nthree")
    share.same(*pages)
    wait_for(lambda: guest.cells == share.host.cells, "the same screen on the command line")


def test_a_page_comes_back_after_a_restart_of_the_server(session, browser, server):
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    page.type("echo before\n")
    page.wait("\nbefore")
    server.restart()
    page.wait_state("joined")
    wait_for(lambda: (page.type("echo after\n"), "\nafter" in share.host.screen)[1], "the shell")
    share.same(page)


def test_a_guest_that_slept_and_one_whose_network_is_gone(session, browser):
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    page.send("Page.setWebLifecycleState", state="frozen")
    share.host.type("for i in $(seq 500); do echo asleep $i; done\n")
    share.host.wait("asleep 500")
    page.send("Page.setWebLifecycleState", state="active")
    page.wait("asleep 500")
    share.same(page)


def test_a_connection_that_is_cut_resumes(session, browser, ana, gate):  # noqa: F811
    """Host and guest behind a line that is cut: the page says how it stands, and goes on where it was."""
    line = gate()
    share = session(environment=through(line, ana))
    page = browser.open(share.link)
    page.wait("$")
    line.cut()
    page.wait_state("stale")
    assert "connection was lost" in page.message or "host is away" in page.message
    line.mend()
    page.wait_state("joined")
    page.type("echo resumed\n")
    share.host.wait("\nresumed")
    share.same(page)


def test_words_are_asked_for_and_mistakes_are_named(session, browser):
    share = session()
    page = browser.open(share.link.split("#")[0])
    page.wait_state("words")
    words = share.words.split("-")[2:]
    for typed, said in (("cactus", "Enter two words"), ("cactuss violin", "did you mean “cactus”")):
        page.value(f"document.getElementById('words').value = {json.dumps(typed)}")
        page.click("#words-form button")
        wait_for(lambda: said in page.value("document.getElementById('words-problem').textContent"), said)
    page.value("document.getElementById('words').value = ''")
    page.value("document.getElementById('words').focus()")
    page.type(" ".join(words).upper() + "\n")
    page.wait("$")
    share.same(page)


def test_wrong_secrets_are_refused_and_bounded(session, browser):
    share = session()
    base, secret = share.link.split("#")
    wrong = f"{base}#{'0' * 32}{secret[32:]}"
    for _ in range(2):
        page = browser.open(wrong)
        page.wait_state("ended")
        assert "are wrong" in page.message
    page = browser.open(wrong)
    page.wait_state("ended")
    assert re.search(r"try again in \d+ s", page.message), page.message


def test_five_wrong_words_disable_the_words_and_not_the_link(session, browser, server, ben):
    share = session()
    code = "-".join(share.words.split("-")[:2])
    for _ in range(5):
        done = subprocess.run([POSTERN, "join", f"{code}-zebra-zebra"], env=ben.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE)
        assert b"the words are wrong" in done.stderr
    dead = subprocess.run([POSTERN, "join", share.words], env=ben.environment, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE)
    assert b"tried too often" in dead.stderr
    # Nobody guesses the link, and who has it comes in.
    page = browser.open(share.link)
    page.wait("$")
    share.same(page)


def test_a_lossless_share_gets_its_end_confirmed(server, ana, browser, shares):
    share = ana.share("--lossless", "--", "sh", "-c", "read go; echo first; sleep 0.3; seq 20000; echo last; exit 3")
    shares.append(share)
    page = browser.open(share.code("control")["url"])
    page.wait_state("joined")
    page.type("\n")
    page.wait_state("ended")
    assert "exit status was 3" in page.message and "last" in page.screen
    assert share.process.wait(PATIENCE) == 3


def test_the_host_lets_in_whom_it_sees(session, browser):
    share = session("--approve")
    page = browser.open(share.link)
    share.host.wait("a guest without an account asks to type")
    assert "Waiting for the host" in page.message
    share.host.key("y")
    page.wait("$")
    share.same(page)


def modules(page):
    """Makes the page's own modules, and a host for them, known to what a test evaluates."""
    page.value("""(async () => {
        const base = document.querySelector('script[type=module]').src.replace(/guest\\.js$/, '');
        globalThis.modules = {};
        for (const name of ['bytes', 'cryptography', 'handshake', 'frames', 'engine', 'input']) {
            modules[name] = await import(`${base}${name}.js`);
        }
    })()""")
    page.value((HERE / "browser_host.js").read_text() + "; Object.assign(globalThis, { makeHost, joined, mutations }); true")


@pytest.fixture
def bare(browser, server):
    """A page of the server that joins nothing, with its modules at hand."""
    page = browser.open(f"{server.url}/j/SYCLX-AAAAAA")
    page.wait_state("words")
    modules(page)
    return page


def test_the_vectors_of_cpace(bare):
    vectors = json.loads((HERE.parent / "EndToEndTests/Vectors/cpace-x25519-draft21.json").read_text())
    found = bare.value("""(async (vectors) => {
        const { bytes: { utf8 }, cryptography: { PrivateKey }, handshake } = modules;
        const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
        const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
        const { generator, exchange, scalar_mult_vfy } = vectors;
        const sid = bytes(generator.sid);
        const base = await handshake.generator(utf8(generator.PRS_ascii), bytes(generator.CI), sid, postern.screen.elligator);
        const [a, b] = [await PrivateKey.from(bytes(exchange.ya)), await PrivateKey.from(bytes(exchange.yb))];
        const [pointA, pointB] = [await a.multiply(base), await b.multiply(base)];
        const shared = await a.multiply(pointB);
        const key = await handshake.sessionKey(
          shared, sid, [pointA, utf8(exchange.ADa_ascii)], [pointB, utf8(exchange.ADb_ascii)]);
        const scalar = await PrivateKey.from(bytes(scalar_mult_vfy.scalar));
        const refused = [];
        for (const point of scalar_mult_vfy.must_be_rejected) {
          refused.push(await scalar.multiply(bytes(point)).then(() => false, (error) => error.code === 'lowOrderPoint'));
        }
        const products = [];
        for (const { point } of scalar_mult_vfy.accepted) products.push(hex(await scalar.multiply(bytes(point))));
        return { generator: hex(base), Ya: hex(pointA), Yb: hex(pointB), K: hex(shared), key: hex(key), refused, products };
    })(%s)""" % json.dumps(vectors))
    assert found["generator"] == vectors["generator"]["g"]
    exchange = vectors["exchange"]
    assert (found["Ya"], found["Yb"], found["K"]) == (exchange["Ya"], exchange["Yb"], exchange["K"])
    assert found["key"] == exchange["ISK_initiator_responder"]
    assert all(found["refused"]) and len(found["refused"]) == len(vectors["scalar_mult_vfy"]["must_be_rejected"])
    assert found["products"] == [one["product"] for one in vectors["scalar_mult_vfy"]["accepted"]]


def test_a_thousand_changed_frames_show_nothing_unsigned_and_hang_nothing(bare):
    found = bare.value("mutations(modules, postern.screen.elligator, 1000, 7)")
    assert found["failures"] == []
    # What was changed is noticed; what was only repeated or swapped away may be taken as it is.
    assert found["outcomes"]["tampering"] > 200, found["outcomes"]


def test_what_the_host_did_not_sign_is_not_shown(bare):
    shown = bare.value("""(async () => {
        const guest = await joined(modules, postern.screen.elligator);
        guest.take(await guest.engine.frame(await guest.host.output('unsigned')));
        const before = guest.shown;
        guest.take(await guest.engine.frame(await guest.host.sign()));
        return [before, guest.shown];
    })()""")
    assert shown == ["start ", "start unsigned"]


def test_a_page_is_small_and_loads_nothing_from_elsewhere(browser, server):
    page = browser.open("about:blank")
    browser.events.clear()
    page.go(f"{server.url}/j/SYCLX-AAAAAA")
    page.wait_state("words")
    finished = [event["params"] for event in browser.events if event["method"] == "Network.loadingFinished"]
    urls = [event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(server.url) for url in urls), urls
    assert sum(one["encodedDataLength"] for one in finished) < 200_000
    assert page.value("fetch(location.href).then((answer) => answer.headers.get('content-security-policy'))") == (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
    # What was served is what the binary says it has.
    printed = json.loads(subprocess.run([POSTERN, "version", "--web", "--json"], check=True, capture_output=True).stdout)
    digests = page.value("""(async (names, version) => Object.fromEntries(await Promise.all(names.map(async (name) => {
        const bytes = await (await fetch(`/web/${version}/${name}`)).arrayBuffer();
        const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
        return [name, [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')];
    }))))(%s, %s)""" % (json.dumps(list(printed["files"])), json.dumps(printed["version"])))
    assert digests == printed["files"]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width, height, mobile", [(390, 844, True), (768, 1024, False), (1280, 800, False)])
def test_the_page_at_every_size(session, browser, width, height, mobile, dark, tmp_path):
    share = session()
    page = browser.open(share.link, width, height, mobile=mobile, dark=dark)
    page.wait("$")
    # The host's window is all there, without scrolling the page itself.
    assert page.value("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight")
    assert page.value("document.getElementById('terminal').scrollWidth <= document.getElementById('terminal').clientWidth")
    assert page.value("getComputedStyle(document.getElementById('keys')).display") == ("flex" if mobile else "none")
    # Everything that is text has a contrast of 4.5 or more.
    contrast = page.value("""(() => {
        const light = (color) => { const parts = color.match(/[\\d.]+/g).slice(0, 3).map((part) => { const value = part / 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]; };
        const probe = document.createElement('span');
        document.body.append(probe);
        const resolved = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
        const back = light(resolved('--background'));
        const names = ['--foreground', '--accent', '--danger', ...[1, 2, 3, 4, 5, 6].map((number) => `--color-${number}`)];
        const found = names.map((name) => { const one = light(resolved(name));
            return [name, (Math.max(one, back) + 0.05) / (Math.min(one, back) + 0.05)]; });
        probe.remove();
        return found; })()""")
    assert all(ratio >= 4.5 for _, ratio in contrast), contrast
    if mobile:
        page.click("[data-key=Control]")
        page.type("c")
        page.wait("^C")
        page.click("[data-key=ArrowUp]")


def test_keyboard_alone_and_what_a_screen_reader_finds(session, browser):
    share = session()
    page = browser.open(share.link)
    page.wait("$")
    page.key("]", control=True)
    wait_for(lambda: page.value("document.getElementById('menu').open"), "the menu")
    assert page.value("document.activeElement.id") == "name"
    page.type("Carla")
    page.key("Enter")
    wait_for(lambda: not page.value("document.getElementById('menu').open"), "the terminal")
    assert page.value("document.activeElement.id") == "keyboard"
    page.type("echo named\n")
    share.host.wait("\nnamed")
    share.host.key("C-]")
    share.host.type("l")
    share.host.wait("Carla (no account)")
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    names = {(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node["ignored"]}
    assert ("button", "Menu") in names and ("heading", "ana") in names
    assert any(role == "textbox" and name.startswith("Type into the shared terminal") for role, name in names)
    wait_for(lambda: "named" in page.value("document.getElementById('live').textContent"), "what is read aloud")
    # 200 %: the page still fits, and nothing is cut off.
    page.size(640, 400, scale=2)
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
