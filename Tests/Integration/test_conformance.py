"""RFC 6455 by the Autobahn test suite, against an endpoint made of the relay's own parts (Sources/WebSocketEcho).

The suite needs Python 2.7, which is not everywhere: where there is none, the test says so and is skipped. What is never
skipped are the cases of Tests/WebSocketTests, and those below, against the relay's own handler."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import PATIENCE

ECHO = os.environ.get("POSTERN_ECHO", str(Path(os.environ.get("POSTERN", "postern")).parent / "postern-echo"))
ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-autobahn"


def python2():
    """A Python 2.7, from the PATH or from pyenv."""
    found = [shutil.which("python2.7"), *map(str, Path.home().glob(".pyenv/versions/2.7*/bin/python"))]
    # A shim of pyenv is there also where the version behind it is not chosen.
    return next((path for path in found if path and subprocess.run([path, "-V"], capture_output=True).returncode == 0), None)


@pytest.fixture(scope="module")
def wstest():
    if not (TOOLS / "bin/wstest").exists():
        python = python2()
        if not python:
            pytest.skip("the Autobahn test suite needs Python 2.7, and there is none here")
        maker = TOOLS.with_name(".venv-autobahn-maker")
        subprocess.run(["python3", "-m", "venv", str(maker)], check=True)
        subprocess.run([maker / "bin/pip", "install", "-q", "virtualenv==20.15.1"], check=True)
        subprocess.run([maker / "bin/virtualenv", "-q", "-p", python, str(TOOLS)], check=True)
        subprocess.run([TOOLS / "bin/pip", "install", "-q", "autobahntestsuite==0.8.2"], check=True)
    return TOOLS / "bin/wstest"


def test_every_case_that_applies_passes(wstest, tmp_path):
    echo = subprocess.Popen([ECHO], stdout=subprocess.PIPE, text=True)
    try:
        port = echo.stdout.readline().strip()
        (tmp_path / "spec.json").write_text(json.dumps({
            "outdir": str(tmp_path / "reports"), "servers": [{"agent": "postern", "url": f"ws://127.0.0.1:{port}"}],
            # 12 and 13 are about compression, which is not offered.
            "cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {}}))
        subprocess.run([wstest, "-m", "fuzzingclient", "-s", tmp_path / "spec.json"], check=True, cwd=tmp_path,
                       capture_output=True)
        results = json.loads((tmp_path / "reports/index.json").read_text())["postern"]
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()
    assert len(results) > 240
    outcomes = {}
    for case, result in results.items():
        outcomes.setdefault(result["behavior"], []).append(case)
        assert result["behaviorClose"] in ("OK", "INFORMATIONAL"), (case, result)
    print({outcome: len(cases) for outcome, cases in outcomes.items()})
    # NON-STRICT: text that is not UTF-8 is refused at the end of its message and not at its first bad byte.
    assert set(outcomes) <= {"OK", "NON-STRICT", "INFORMATIONAL"}, outcomes
    assert all(case.startswith("6.4.") for case in outcomes.get("NON-STRICT", [])), outcomes["NON-STRICT"]


class RawPeer:
    """A WebSocket of the relay itself, byte by byte: what no library would send."""

    def __init__(self, server):
        host, port = server.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self.socket.sendall(
            f"GET /relay HTTP/1.1\r\nHost: {server.address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: postern.v1\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        assert b"101" in self.file.readline()
        while self.file.readline() != b"\r\n":
            pass

    def send(self, *frames):
        """All in one write."""
        self.socket.sendall(b"".join(frames))

    def read(self):
        """The next frame, (opcode, payload); None at the end."""
        head = self.file.read(2)
        if not head:
            return None
        length = head[1] & 127
        if length > 125:
            length = int.from_bytes(self.file.read(2 if length == 126 else 8), "big")
        return head[0] & 15, self.file.read(length)

    def closed(self):
        """The code of the close frame, behind which nothing comes."""
        while (frame := self.read()) and frame[0] != 8:
            pass
        assert frame, "ended without a close frame"
        return int.from_bytes(frame[1][:2], "big")

    def close(self):
        self.file.close()
        self.socket.close()


def frame(opcode, payload=b"", fin=True, mask=b"\x01\x02\x03\x04"):
    """A masked frame of at most 125 bytes."""
    return bytes([(0x80 if fin else 0) | opcode, 0x80 | len(payload)]) + mask + bytes(
        byte ^ mask[index % 4] for index, byte in enumerate(payload))


@pytest.fixture(params=["somebody who has not joined", "a host"])
def peer(request, server, ana):
    """A raw connection to the relay's own handler."""
    peer = RawPeer(server)
    if request.param == "a host":
        session = ana.call("POST", "/sessions", {"hostPublicKey": "k"})[1]["id"]
        join = json.dumps({"type": "joinAsHost", "token": ana.token, "sessionId": session, "binary": True, "id": 1}).encode()
        # Longer than a frame of this file's may be: in fragments, as any client may send it.
        parts = [join[at:at + 100] for at in range(0, len(join), 100)]
        peer.send(*(frame(1 if number == 0 else 0, part, fin=number == len(parts) - 1) for number, part in enumerate(parts)))
        opcode, text = peer.read()
        assert opcode == 1 and json.loads(text)["success"]
    yield peer
    peer.close()


@pytest.mark.parametrize("wire, code", [
    # Section 5.2: reserved bits, opcodes that are not defined, lengths that are not the shortest, no mask.
    (b"\xc1\x80\0\0\0\0", 1002), (b"\x92\x80\0\0\0\0", 1002), (b"\x83\x80\0\0\0\0", 1002), (b"\x8b\x80\0\0\0\0", 1002),
    (b"\x82\xfe\0\x05", 1002), (b"\x82\xff\0\0\0\0\0\0\x01\0", 1002), (b"\x82\xff\x80\0\0\0\0\0\0\0", 1002), (b"\x82\x00", 1002),
    # Sections 5.4 and 5.5: a continuation of nothing, a message inside a message, control frames in parts or too long.
    (frame(0), 1002), (frame(1, b"a", fin=False) + frame(1, b"b"), 1002), (frame(9, b"a", fin=False), 1002), (b"\x89\xfe\0\x7e", 1002),
    # Sections 7.4 and 8.1: closes that say nothing valid, text that is none.
    (frame(8, b"\x03"), 1002), (frame(8, b"\x03\xed"), 1002), (frame(8, b"\x03\xe8\xff"), 1007), (frame(1, b"\xc3\x28"), 1007),
    (frame(1, b"\xe2\x82", fin=False) + frame(0, b""), 1007), (b"\x82\xff\0\0\0\0\0\x10\0\x01", 1009),
])
def test_the_relay_itself_refuses_broken_framing_with_the_code_that_says_so(peer, wire, code):
    # What follows the breach means nothing any more.
    peer.send(wire, frame(9, b"heard"))
    assert peer.closed() == code
    assert peer.read() is None


def test_the_relay_itself_answers_pings_inside_a_message_and_a_farewell_with_its_own(peer):
    peer.send(frame(1, b'{"type":', fin=False), frame(9, b"inside"), frame(10, b"unasked"))
    assert peer.read() == (10, b"inside")
    peer.send(frame(8, b"\x03\xe8bye"), frame(9, b"behind it"))
    assert peer.closed() == 1000
    assert peer.read() is None
