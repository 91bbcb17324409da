"""`postern share` and `postern join` as people use them: real shells, real terminals (tmux), real programs."""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import PATIENCE, POSTERN, wait_for

SHELL = "bash --norc --noprofile"


class Session:
    """A host and its guests, each in a tmux pane."""

    def __init__(self, tmux, ana, ben, options="", command=SHELL, columns=80, rows=24):
        self.tmux, self.ben = tmux, ben
        self.host = tmux.pane("host", f"{POSTERN} share {options} -- {command}", ana.environment, columns, rows)
        screen = self.host.wait("to watch only:" if "--read-only" in options else "to type along:")
        self.banner = tmux.run("capture-pane", "-p", "-J", "-t", "host")
        self.read = self.code("watch only")
        self.control = None if "--read-only" in options else self.code("type along")
        # The codes stand on the host's screen only.
        self.host.type("clear\n")
        wait_for(lambda: "to watch only" not in self.host.screen, "a clear screen")

    def code(self, label):
        return re.search(label + r":\s+postern join (\S+)", self.banner).group(1)

    def guest(self, name="guest", invitation=None, columns=80, rows=24, options=""):
        return self.tmux.pane(
            name, f"{POSTERN} join {options} {invitation or self.control}", self.ben.environment, columns, rows)

    def same(self, *guests):
        """All screens are the host's, cell by cell, with the cursor."""
        def equal():
            host = self.host.cells
            return all(guest.cells == host for guest in guests)
        try:
            wait_for(equal, "equal screens")
        except AssertionError:
            # Shown side by side by pytest.
            for guest in guests:
                assert guest.cells == self.host.cells
            raise


@pytest.fixture
def session(tmux, ana, ben):
    return lambda *arguments, **options: Session(tmux, ana, ben, *arguments, **options)


def test_a_guest_types_into_the_hosts_shell(session):
    share = session()
    guest = share.guest()
    guest.wait("$")
    guest.type("echo $((6 * 7)) violets\n")
    share.host.wait("42 violets")
    guest.wait("42 violets")
    share.same(guest)
    share.host.type("exit 7\n")
    share.host.wait("STATUS=7")
    guest.wait("the command's exit status was 7")
    guest.wait("STATUS=0")


def test_full_screen_programs_look_the_same_through_resize_scroll_and_alternate_screen(session):
    share = session()
    guest = share.guest()
    guest.wait("$")
    guest.type("seq 1 100; ls --color=always /etc | head -40\n")
    share.same(guest)
    guest.type("vim -u NONE -c 'set nu hls' /etc/services\n")
    guest.wait("tcpmux")
    guest.type("20Gzt/udp\n")
    share.same(guest)
    for size in ((100, 30), (60, 15), (80, 24)):
        share.host.resize(*size)
        guest.resize(*size)
        share.same(guest)
    guest.type(":q!\n")
    share.same(guest)
    guest.type("less /etc/services\n")
    guest.wait("tcpmux")
    guest.type("G")
    share.same(guest)
    guest.type("q")
    for program, seen in (("top -d 1", "PID"), ("htop -d 10", "PID")):
        guest.type(program + "\n")
        guest.wait(seen)
        share.same(guest)
        guest.type("q")
        # The program throws away what was typed before it left.
        wait_for(lambda: seen not in guest.screen or guest.screen.rstrip().endswith("$"), "the prompt")
        guest.type("clear; echo after\n")
        guest.wait("after\n$")
        share.same(guest)


def test_wide_characters_emoji_and_line_drawing_arrive_as_they_are(session):
    share = session()
    guest = share.guest()
    guest.wait("$")
    guest.type("printf '\\e(0lqqk\\e(B 漢字 ❤ é \\e[1;38;5;208morange\\e[48;2;1;2;3mrgb\\e[0m\\n'\n")
    share.same(guest)
    late = share.guest("late")
    late.wait("漢字")
    share.same(guest, late)


def test_a_late_guest_sees_the_screen_as_it_is(session):
    share = session()
    share.host.type("seq 1 500; vim -u NONE /etc/services\n")
    share.host.wait("tcpmux")
    share.host.type("50Gzt")
    late = share.guest()
    share.same(late)
    # And behind the alternate screen stands the main one, with the lines above it that have scrolled away.
    share.host.type(":q!\n")
    share.same(late)
    above = lambda pane: pane.tmux.run("capture-pane", "-p", "-S", "-100", "-t", pane.name)
    assert above(share.host).splitlines()[0].isdigit()
    assert above(late) == above(share.host)


def test_a_guest_with_another_window_sees_a_frame(session):
    share = session(columns=60, rows=15)
    larger = share.guest("larger", columns=100, rows=30)
    screen = larger.wait("host's window: 60×15")
    assert "│" in screen and "┘" in screen
    smaller = share.guest("smaller", columns=40, rows=10)
    smaller.wait("host's window")
    share.host.type("seq 1 30\n")
    smaller.wait("30")
    larger.wait("30")
    larger.resize(60, 15)
    share.same(larger)
    share.host.resize(70, 20)
    larger.wait("host's window: 70×20")


def test_two_guests_type_and_the_host_sees_who(session):
    share = session()
    one = share.guest("one", options="--name Carla")
    one.wait("$")
    two = share.guest("two")
    two.wait("$")
    one.type("echo from one\n")
    wait_for(lambda: "Carla (ben) is typing" in share.host.title, "the typist's name")
    two.type("echo from two\n")
    share.host.wait("from two")
    share.same(one, two)


def test_a_read_guest_watches_and_cannot_type(session):
    share = session("--read-only")
    assert share.control is None
    guest = share.guest(invitation=share.read)
    guest.wait("$")
    guest.type("echo from guest\n")
    share.host.type("echo from host\n")
    guest.wait("from host")
    assert "from guest" not in share.host.screen
    share.same(guest)


def test_approve_asks_before_anybody_is_let_in(session):
    share = session("--approve")
    guest = share.guest()
    guest.wait("waiting for the host to admit you")
    share.host.wait("asks to type")
    share.host.key("n")
    guest.wait("did not admit you")
    guest.wait("STATUS=1")
    guest = share.guest("second")
    share.host.wait("asks to type")
    share.host.key("y")
    guest.wait("$")
    guest.type("echo let in\n")
    share.host.wait("let in")
    share.same(guest)


def test_a_guest_cannot_write_the_question_that_the_host_answers(session):
    share = session("--approve")
    guest = share.guest(options="--name 'ana asks to watch.  y let in · n refuse'")
    share.host.wait("y yes · n no  ben asks to type, using the name")
    share.host.key("n")
    guest.wait("STATUS=1")


def test_the_codes_can_be_seen_again_when_a_program_has_cleared_them(session):
    share = session()
    share.host.type("clear\n")
    wait_for(lambda: "to type along" not in share.host.screen, "a clear screen")
    share.host.key("C-]")
    share.host.wait("c codes")
    share.host.key("c")
    share.host.wait("postern join SYCLX-")
    share.host.key("x")


def test_a_share_is_not_joined_from_inside_itself(server, ana):
    """The join line, pasted into the shared window: each frame would make the next one, for ever."""
    script = "postern=$0; code=${POSTERN_SHARED%%,*}; $postern join $code-cactus-violin; echo status=$?"
    done = subprocess.run([POSTERN, "share", "--", "bash", "-c", script, POSTERN], env=ana.environment, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert "this is the terminal that SYCLX-" in done.stdout and "status=1" in done.stdout, done.stdout


def test_the_host_is_told_when_its_connection_is_gone_and_back(server, ana, shares):
    share = ana.share("--", "sleep", "1000")
    shares.append(share)
    server.stop()
    share.wait("disconnected")
    server.start()
    share.wait("reconnected")


def test_menus_list_kick_leave_and_end(session):
    share = session()
    guests = []
    for name in ("kicked", "leaver", "last"):
        guests.append(share.guest(name))
        guests[-1].wait("$")
    kicked, leaver, last = guests
    share.host.key("C-]")
    share.host.wait("l list guests")
    share.host.key("l")
    share.host.wait("3  ben · types")
    share.host.key("x")
    share.same(last)
    share.host.key("C-]", "k", "1")
    kicked.wait("the host removed you")
    kicked.wait("STATUS=1")
    leaver.key("C-]", "l")
    leaver.wait("you left")
    leaver.wait("STATUS=0")
    # The terminal is a terminal again.
    assert "STATUS" in leaver.screen
    share.host.key("C-]", "e", "y")
    last.wait("the session has ended")
    share.host.type("echo still here\n")
    share.host.wait("still here")
    share.host.type("exit 3\n")
    share.host.wait("STATUS=3")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
@pytest.mark.parametrize("side", ["host", "guest"])
def test_raw_mode_is_undone_on_every_way_out(session, tmux, how, side):
    share = session()
    guest = share.guest()
    guest.wait("$")
    verb = "share" if side == "host" else "join"
    pane = share.host if side == "host" else guest
    terminal = tmux.run("display-message", "-p", "-t", pane.name, "#{pane_tty}").strip()
    def modes():
        return subprocess.run(["stty", "-F", terminal, "-a"], capture_output=True, text=True, check=True).stdout
    assert "-icanon" in modes()
    pids = subprocess.run(["pgrep", "-f", f"{POSTERN} {verb} "], capture_output=True, text=True).stdout.split()
    on_terminal = [pid for pid in pids if os.path.realpath(f"/proc/{pid}/fd/0") == terminal
                   and Path(f"/proc/{pid}/comm").read_text().strip() == "postern"]
    for pid in on_terminal:
        os.kill(int(pid), how)
    pane.wait("STATUS=")
    wait_for(lambda: " icanon" in modes() and " echo " in modes() and "-echo " not in modes(), "the terminal's own modes")


def test_codes_can_be_joined_by_link_and_by_prompt(session, ana, ben, tmux):
    share = session()
    link = re.search(r"in a browser:\s+(\S+)", share.banner).group(1)
    guest = share.guest(invitation=shlex.quote(link))
    guest.wait("$")
    asked = tmux.pane("asked", f"{POSTERN} join", ben.environment)
    asked.wait("Invitation:")
    asked.type(share.control + "\n")
    asked.wait("$")
    share.host.type("echo all here\n")
    share.same(guest, asked)


def test_json_prints_one_object_per_line(server, ana, ben, shares, children):
    share = ana.share("--", "cat")
    shares.append(share)
    assert set(share.opening) == {"sessionId", "codes"}
    for code in share.opening["codes"]:
        assert set(code) == {"permission", "code", "secret", "join", "url"}
        assert code["join"] == f"postern join {code['code']}-{code['secret']}"
        assert code["url"].startswith(f"{server.url}/j/{code['code']}#")
    guest = ben.join(share.invitation(), "--name", "Bea", stdin=subprocess.PIPE)
    children.append(guest)
    joined = share.wait("guest_joined")
    assert joined["name"] == "Bea (ben)" and joined["permission"] == "control"
    guest.stdin.write(b"hello\n")
    guest.stdin.flush()
    share.wait("typing", name="Bea (ben)")
    guest.send_signal(signal.SIGTERM)
    share.wait("guest_left")
    share.process.terminate()
    assert share.wait("exited")["status"] == 129


def test_the_commands_exit_status_is_shares(ana, shares):
    for command, status in (("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", 143)):
        share = ana.share("--", "sh", "-c", command)
        shares.append(share)
        assert share.wait("exited")["status"] == status
        assert share.process.wait(PATIENCE) == status


def test_a_missing_command_says_so(ana, ben, shares):
    done = subprocess.run([POSTERN, "share", "--", "no-such-command"], env=ana.environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 127 and "cannot start no-such-command" in done.stdout


def test_the_token_is_not_in_the_shared_commands_environment(ana):
    done = subprocess.run([POSTERN, "share", "--", "env"], env=ana.environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    assert "POSTERN_SHARED=SYCLX-" in done.stdout and ana.token not in done.stdout
