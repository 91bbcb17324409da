"""The browser's guest, measured in a real Chromium: how long from a link to the first screen, how long a key takes to be seen, how much output
it takes, and what the page loads. In the same rounds: `postern join`, the same session on the command line, and JupyterLab's terminal (terminado and
xterm.js, neither encrypted nor shared) where JUPYTER names a `jupyter` that has JupyterLab.

Medians of RUNS rounds (five). Prints what docs/performance.md has; the numbers go to dist/bench-browser.json.
"""

import json
import os
import pty
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/Integration"))
from browser import Browser  # noqa: E402
from conftest import POSTERN, Server, wait_for  # noqa: E402

RUNS = int(os.environ.get("RUNS", "5"))
KEYS = 200
MEGABYTES = 20


def echo_in_page(page):
    """Milliseconds from a key to the frame that shows it, for each of KEYS."""
    return page.value("""(async (count) => {
        const screen = document.getElementById('screen');
        const times = [];
        for (let index = 0; index < count; index += 1) {
            const seen = new Promise((resolve) => {
                const observer = new MutationObserver(() => {
                    observer.disconnect();
                    // Behind the frame that paints the change.
                    requestAnimationFrame(() => { const channel = new MessageChannel();
                        channel.port1.onmessage = () => resolve(performance.now()); channel.port2.postMessage(0); });
                });
                observer.observe(screen, { childList: true, subtree: true, characterData: true });
            });
            const start = performance.now();
            document.dispatchEvent(new KeyboardEvent('keydown', { key: index % 40 === 39 ? 'Enter' : 'x', bubbles: true }));
            times.push(await seen - start);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return times;
    })(COUNT)""".replace("COUNT", str(KEYS)))


def echo_on_command_line(environment, link):
    """The same for `postern join` in a terminal: from the key to the byte that comes back."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(POSTERN, [POSTERN, "join", link], environment)

    def read(seconds):
        ready, _, _ = select.select([terminal], [], [], seconds)
        return os.read(terminal, 65536) if ready else b""
    deadline = time.monotonic() + 10
    text = b""
    while b"$" not in text and time.monotonic() < deadline:
        text += read(0.2)
    while read(0.5):
        pass
    times = []
    for index in range(KEYS):
        start = time.monotonic()
        os.write(terminal, b"\r" if index % 40 == 39 else b"x")
        if read(2):
            times.append((time.monotonic() - start) * 1000)
        while read(0.02):
            pass
    os.kill(pid, 15)
    os.waitpid(pid, 0)
    os.close(terminal)
    return times


class Jupyter:
    """JupyterLab with one terminal in a page."""

    def __init__(self, browser, directory):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [os.environ["JUPYTER"], "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--expose-app-in-browser",
             "--ServerApp.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={directory}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "SHELL": "/bin/sh", "PS1": "$ "})
        wait_for(lambda: self._listens(port), "JupyterLab")
        self.page = browser.open(f"http://127.0.0.1:{port}/lab?reset")
        wait_for(lambda: self.page.value("Boolean(globalThis.jupyterapp?.commands?.hasCommand('terminal:create-new'))"), "the application")
        self.page.value("jupyterapp.commands.execute('terminal:create-new').then((widget) => { globalThis.lab = widget; })")
        wait_for(lambda: self.page.value("(globalThis.term = globalThis.lab?.content._term)?.buffer.active.getLine(0)?.translateToString().trim().length > 0"), "the prompt")

    @staticmethod
    def _listens(port):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        except OSError:
            return False

    def echo(self):
        return self.page.value("""(async (count) => {
            const times = [];
            for (let index = 0; index < count; index += 1) {
                const seen = new Promise((resolve) => {
                    const listener = term.onRender(() => {
                        listener.dispose();
                        requestAnimationFrame(() => { const channel = new MessageChannel();
                            channel.port1.onmessage = () => resolve(performance.now()); channel.port2.postMessage(0); });
                    });
                });
                const start = performance.now();
                term.input(index % 40 === 39 ? '\\r' : 'x', true);
                times.push(await seen - start);
                await new Promise((resolve) => setTimeout(resolve, 20));
            }
            return times;
        })(COUNT)""".replace("COUNT", str(KEYS)))

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def percentile(times, part):
    return sorted(times)[min(int(len(times) * part), len(times) - 1)]


def throughput(page, host):
    """MB/s of output that a page takes without a loss, and the longest task of its main thread meanwhile, in milliseconds."""
    page.value("""globalThis.longest = 0; new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) longest = Math.max(longest, entry.duration); }).observe({ entryTypes: ['longtask'] });
        globalThis.fed = 0; const feed = postern.screen.feed.bind(postern.screen);
        postern.screen.feed = (bytes) => { fed += bytes.length; feed(bytes); }; true""")
    start = time.monotonic()
    host.write(b"go\n")
    while "the end" not in page.screen:
        time.sleep(0.02)
    seconds = time.monotonic() - start
    return page.value("fed") / 1e6 / seconds, page.value("longest")


def measure():
    figures = {name: [] for name in ("first", "page50", "page99", "line50", "line99", "lab50", "lab99", "rate", "task")}
    loads = {}
    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory) / "state", "--joins-per-minute", "100000", "--public-calls-per-minute", "100000").start()
        ana = server.user("ana")
        browser = Browser(directory + "/chromium")
        jupyter = Jupyter(browser, directory) if os.environ.get("JUPYTER") else None
        try:
            for _ in range(RUNS):
                share = ana.share("--", "bash", "--norc", "--noprofile")
                link = share.code("control")["url"]
                page = browser.open("about:blank")
                browser.events.clear()
                page.go(link)
                page.wait("$")
                # From the start of the navigation to the frame that showed the screen.
                figures["first"].append(page.value("performance.getEntriesByName('first-screen')[0].startTime"))
                finished = [event for event in browser.events if event["method"] == "Network.loadingFinished"]
                loads = {"requests": len(finished), "bytes": sum(one["params"]["encodedDataLength"] for one in finished)}
                times = echo_in_page(page)
                figures["page50"].append(percentile(times, 0.5))
                figures["page99"].append(percentile(times, 0.99))
                times = echo_on_command_line(ana.environment, link)
                figures["line50"].append(percentile(times, 0.5))
                figures["line99"].append(percentile(times, 0.99))
                share.end()
                times = jupyter.echo() if jupyter else [0]
                figures["lab50"].append(percentile(times, 0.5))
                figures["lab99"].append(percentile(times, 0.99))
                lossless = ana.share("--lossless", "--", "sh", "-c",
                                     f"read go; head -c {MEGABYTES * 750_000} /dev/urandom | base64; echo the end; read end")
                page = browser.open(lossless.code("control")["url"])
                page.wait_state("joined")
                rate, task = throughput(page, Typist(page))
                figures["rate"].append(rate)
                figures["task"].append(task)
                lossless.end()
        finally:
            if jupyter:
                jupyter.close()
            browser.close()
            server.stop()
    return figures, loads


class Typist:
    """Types into the page."""

    def __init__(self, page):
        self.page = page

    def write(self, text):
        self.page.type(text.decode())


def main():
    figures, loads = measure()
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print(f"| | in the page | `postern join` | JupyterLab |\n|---|---|---|---|\n"
          f"| key to what is seen, p50 | {medians['page50']:.1f} ms | {medians['line50']:.1f} ms | {medians['lab50']:.1f} ms |\n"
          f"| p99 | {medians['page99']:.1f} ms | {medians['line99']:.1f} ms | {medians['lab99']:.1f} ms |\n"
          f"| link to the first screen | {medians['first']:.0f} ms | | |\n"
          f"| output taken, lossless | {medians['rate']:.1f} MB/s | | |\n"
          f"| longest task meanwhile | {medians['task']:.0f} ms | | |\n"
          f"| the page loads | {loads['requests']} requests, {loads['bytes'] / 1000:.0f} kB | | |")
    (ROOT / "dist").mkdir(exist_ok=True)
    (ROOT / "dist/bench-browser.json").write_text(json.dumps({"figures": figures, "loads": loads}))


if __name__ == "__main__":
    main()
