"""`make demo`: a guest types into a host's shell through a relay that cannot read a byte of it — shown, not told.

Real server, real shell on a real pty, real terminals (tmux). Everything between the clients and the relay goes through a
tap (scripts/tap.py) that writes it down; the proof is a search of that record and of the relay's database.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
POSTERN = os.environ.get("POSTERN", str(ROOT / ".build/release/postern"))
RUNNING = ROOT / ".build/demo.json"
PATIENCE = 60  # Seconds until the demo gives up waiting for a screen.
BOLD, DIM, GREEN, RED, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else [""] * 5


def step(text):
    print(f"\n{BOLD}== {text}{PLAIN}", flush=True)


def show(screen):
    lines = screen.rstrip("\n").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    width = max([len(line) for line in lines] + [40])
    print("  ┌" + "─" * (width + 2) + "┐")
    for line in lines:
        print(f"  │ {line.ljust(width)} │")
    print("  └" + "─" * (width + 2) + "┘", flush=True)


class Demo:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="postern-demo-"))
        self.state = self.folder / "state"
        self.record = self.folder / "crossed.jsonl"
        self.tmux = ["tmux", "-u", "-S", str(self.folder / "tmux"), "-f", "/dev/null"]
        # A bare machine has no locale but this one that knows more than ASCII.
        os.environ["LC_ALL"] = "C.UTF-8"
        self.pids = []

    def save(self):
        RUNNING.parent.mkdir(exist_ok=True)
        RUNNING.write_text(json.dumps({"folder": str(self.folder), "pids": self.pids}))

    def launch(self, command, log):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(self.folder / log, "w"), text=True,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        self.pids.append(process.pid)
        self.save()
        line = process.stdout.readline()
        if not line:
            raise SystemExit((self.folder / log).read_text())
        return line.strip()

    def serve(self):
        line = self.launch([POSTERN, "serve", "--state", str(self.state), "--https", "off", "--http", "127.0.0.1:0"], "serve.log")
        self.url = re.search(r"http://\S+?(?=/$)", line).group(0)
        port = self.url.rsplit(":", 1)[1]
        tap = self.launch([sys.executable, str(ROOT / "scripts/tap.py"), "127.0.0.1", port, str(self.record)], "tap.log")
        self.tapped = f"http://127.0.0.1:{tap}"

    def user(self, name):
        made = json.loads(subprocess.run([POSTERN, "user", "add", name, "--state", str(self.state), "--json"],
                                         check=True, capture_output=True, text=True).stdout)
        subprocess.run([POSTERN, "login", self.tapped], input=made["token"], text=True, check=True, capture_output=True,
                       env={**os.environ, "XDG_CONFIG_HOME": str(self.folder / name)})

    def pane(self, name, command, owner):
        subprocess.run([*self.tmux, "new-session", "-d", "-s", name, "-x", "80", "-y", "16",
                        "-e", f"XDG_CONFIG_HOME={self.folder / owner}",
                        "-e", "POSTERN_URL=", "-e", "POSTERN_TOKEN=", "-e", "POSTERN_SHARED=",
                        # A shell that runs one command throws PS1 away, so that it is set behind it.
                        "env -u POSTERN_SHARED PS1='$ ' " + command], check=True)

    def screen(self, name, *options):
        return subprocess.run([*self.tmux, "capture-pane", "-p", *options, "-t", name], check=True, capture_output=True,
                              text=True).stdout

    def wait(self, name, text):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if text in self.screen(name):
                return
            time.sleep(0.05)
        raise SystemExit(f"{RED}waited in vain for {text!r}; the screen shows:{PLAIN}\n{self.screen(name)}")

    def type(self, name, text):
        for letter in text:
            subprocess.run([*self.tmux, "send-keys", "-t", name, "-l", letter], check=True)
        subprocess.run([*self.tmux, "send-keys", "-t", name, "Enter"], check=True)

    # The proof

    def pieces(self):
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def crossed(self):
        """All bytes that crossed the relay; each direction of each connection in one piece, and base64 undone as well."""
        import base64
        streams = {}
        for piece in self.pieces():
            streams.setdefault((piece["connection"], piece["direction"]), bytearray()).extend(bytes.fromhex(piece["hex"]))
        everything = b"\n".join(streams.values())
        decoded = [base64.b64decode(found + b"=" * (-len(found) % 4))
                   for found in re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", everything) if len(found) % 4 != 1]
        return everything + b"\n".join(decoded)

    def database(self):
        return b"\n".join(file.read_bytes() for file in sorted(self.state.iterdir()) if file.name.startswith("postern.db"))

    def frames(self):
        kinds = {1: "broadcast", 2: "direct", 3: "snapshot", 4: "input", 5: "feedback"}
        for piece in self.pieces():
            if piece["opcode"] == 2:
                data = bytes.fromhex(piece["hex"])
                yield piece["direction"], kinds.get(data[1], "?"), data

    def show_frames(self):
        shown = {}
        for direction, kind, data in self.frames():
            if kind in ("input", "broadcast"):
                shown[(direction, kind)] = data
        for (direction, kind), data in shown.items():
            print(f"  the last {kind} frame {direction}: 16 bytes of header, then ciphertext")
            for offset in range(0, min(len(data), 64), 32):
                print(f"    {DIM}{data[offset:offset + 32].hex(' ')}{PLAIN}")

    def search(self, texts, control):
        crossed, database = self.crossed(), self.database()
        print(f"  {len(crossed):,} bytes crossed the relay (base64 decoded as well); its database holds {len(database):,} bytes")
        good = True
        for what, text in [*((what, text) for what, text in texts)]:
            hits = crossed.count(text.encode()), database.count(text.encode())
            good &= hits == (0, 0)
            mark = f"{GREEN}nothing{PLAIN}" if hits == (0, 0) else f"{RED}FOUND {hits}{PLAIN}"
            print(f"  {what:<34} {text!r:<32} {mark}")
        hits = crossed.count(control.encode()), database.count(control.encode())
        good &= hits[0] > 0 and hits[1] > 0
        print(f"  {'and, to see that searching works,':<34} {control!r:<32} found {hits[0]} times, {hits[1]} in the database")
        return good


    def tunnel(self):
        """A second server, with TLS and a domain for tunnels; a site; `postern http`; and a visitor by name."""
        state, site = self.folder / "edge", self.folder / "site"
        site.mkdir()
        (site / "index.html").write_text("<h1>The violets are here.</h1>\n")
        line = self.launch([POSTERN, "serve", "--state", str(state), "--https", "127.0.0.1:0", "--tunnel-domain", "t.demo.test"],
                           "edge.log")
        url = re.search(r"https://\S+?(?=/$)", line).group(0)
        made = json.loads(subprocess.run([POSTERN, "user", "add", "dora", "--state", str(state), "--json"],
                                         check=True, capture_output=True, text=True).stdout)
        status = subprocess.run([POSTERN, "cert", "status", "--json", "--state", str(state)], check=True, capture_output=True, text=True)
        environment = {**os.environ, "POSTERN_URL": url, "POSTERN_TOKEN": made["token"],
                       "POSTERN_FINGERPRINT": json.loads(status.stdout.splitlines()[0])["fingerprint"]}
        port = re.search(r"port (\d+)", self.launch(
            [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(site), "0"], "site.log")).group(1)
        command = subprocess.Popen([POSTERN, "http", port, "--json"], env=environment, stdout=subprocess.PIPE,
                                   stderr=open(self.folder / "http.log", "w"), text=True, start_new_session=True)
        self.pids.append(command.pid)
        self.save()
        address = json.loads(command.stdout.readline())["url"]
        print(f"  postern http {port}      prints {BOLD}{address}{PLAIN}")
        host = address.removeprefix("https://").rsplit(":", 1)[0]
        page = subprocess.run(["curl", "--silent", "--insecure", "--resolve", f"{host}:{url.rsplit(':', 1)[1]}:127.0.0.1", address],
                              capture_output=True, text=True).stdout
        print(f"  a visitor gets        {page.strip()!r}")
        seen = json.loads(command.stdout.readline())
        print(f"  the command says      {seen['request']['method']} {seen['request']['path']} {seen['request']['status']}")
        command.terminate()
        command.wait(PATIENCE)
        good = "violets are here" in page and seen["request"]["status"] == 200
        print(f"{GREEN}{BOLD}  It works by name.{PLAIN}" if good else f"{RED}{BOLD}  IT DOES NOT WORK: see above.{PLAIN}")
        return good


def end_shares(folder):
    """Ends the demo's shares in order, so that guests are told that they end, before the server goes."""
    ending = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if arguments[1:2] == [b"share"] and str(folder).encode() in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGTERM)
                ending.append(process)
        except OSError:
            pass
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(process.exists() for process in ending):
        time.sleep(0.05)


def stop():
    if not RUNNING.exists():
        return
    running = json.loads(RUNNING.read_text())
    folder = Path(running["folder"])
    end_shares(folder)
    subprocess.run(["tmux", "-S", str(folder / "tmux"), "kill-server"], capture_output=True)
    for pid in running["pids"]:
        try:
            # Only what is still ours: a number may have been given to somebody else.
            if str(folder) in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                os.kill(pid, signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError):
            pass
    shutil.rmtree(folder, ignore_errors=True)
    RUNNING.unlink()


def run(once):
    demo = Demo()
    step("A server with an empty state directory, on loopback")
    demo.serve()
    print(f"  postern serve --state {demo.state} --https off --http {demo.url.removeprefix('http://')}")
    for name in ("ana", "ben", "carla"):
        demo.user(name)
    print("  postern user add ana, ben, carla; postern login")

    step("Ana shares a shell")
    demo.pane("host", f"{POSTERN} share -- bash --norc --noprofile", "ana")
    demo.wait("host", "to watch only")
    demo.wait("host", "\n$")
    show(demo.screen("host"))
    spoken = re.search(r"type along:\s+postern join (\S+)", demo.screen("host", "-J")).group(1)
    code, words = spoken[:12], spoken[13:]

    step(f"Ben joins with the spoken code {spoken} and types")
    demo.pane("guest", f"{POSTERN} join {spoken}", "ben")
    demo.wait("guest", "$")
    command = "echo the meeting is at $((17 + 1)) hours, bring violets"
    demo.type("guest", command)
    answer = "the meeting is at 18 hours, bring violets"
    demo.wait("guest", answer)
    demo.wait("host", answer)
    print("  Ben's screen (Ana's is the same):")
    show(demo.screen("guest"))

    step("What the relay saw of it")
    demo.show_frames()
    step("Searching everything that crossed the relay, and its database")
    good = demo.search([
        ("what Ben typed", command), ("a word of it", "violets"), ("what the shell answered", answer),
        ("a piece of the answer", "18 hours"), ("the words of the code", words), ("the command that was shared", "noprofile"),
    ], code)
    # Above this line Ana's terminal shows the codes, and Ben's nothing.
    first = next(index for index, line in enumerate(demo.screen("host").splitlines()) if line.startswith("$ "))
    same = demo.screen("guest").splitlines()[first:] == demo.screen("host").splitlines()[first:]
    print(f"  Ana's and Ben's screens are {'the same' if same else RED + 'DIFFERENT' + PLAIN}")
    good &= same
    print(f"\n{GREEN}{BOLD}Proved: the relay carried it and could not read it.{PLAIN}" if good
          else f"\n{RED}{BOLD}NOT PROVED: see above.{PLAIN}")
    step("A web server of this machine, opened through a tunnel")
    good &= demo.tunnel()
    if once:
        stop()
        return 0 if good else 1
    step("It goes on running")
    print(f"""  Join as a third person, from another terminal:

    {BOLD}XDG_CONFIG_HOME={demo.folder}/carla {POSTERN} join {spoken}{PLAIN}

  Watch Ana's side:  tmux -u -S {demo.folder}/tmux attach -t host
  Status page:       {BOLD}{demo.url}/{PLAIN}
  Stop everything:   make demo-stop""")
    return 0 if good else 1


if __name__ == "__main__":
    stop()
    if "--stop" in sys.argv:
        print("The demo is stopped.")
        sys.exit(0)
    finished = False
    try:
        status = run(bool(os.environ.get("ONCE")))
        finished = True
    except KeyboardInterrupt:
        print("\nStopped.")
        status = 130
    finally:
        # Whatever went wrong: nothing is left behind.
        if not finished:
            stop()
    sys.exit(status)
