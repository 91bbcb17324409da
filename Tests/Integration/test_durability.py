"""kill -9 of the server, over and over: what was answered is there, and nothing is half-made."""

import re
import signal
import sqlite3
import subprocess
import threading

from conftest import POSTERN, wait_for


def test_fifty_kills_lose_nothing_that_was_answered(make_server):
    server = make_server("--joins-per-minute", "100000")
    ana = server.user("ana")
    answered = {}
    for round in range(50):
        stop = threading.Event()

        def create():
            while not stop.is_set():
                try:
                    status, session = ana.call("POST", "/sessions", {"hostPublicKey": "k"})
                    if status != 201:
                        continue
                    answered[session["id"]] = set()
                    status, code = ana.call("POST", f"/sessions/{session['id']}/codes", {"permission": "read"})
                    if status == 201:
                        answered[session["id"]].add(code["code"])
                except OSError:
                    return

        threads = [threading.Thread(target=create) for _ in range(4)]
        before = len(answered)
        [thread.start() for thread in threads]
        while len(answered) < before + 8:
            pass
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        stop.set()
        [thread.join() for thread in threads]
        server.process.stdout.close()
        with sqlite3.connect(f"{server.state}/postern.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found = {row[0] for row in database.execute("SELECT id FROM share_sessions")}
            codes = {row for row in database.execute("SELECT session_id, code FROM share_codes")}
        database.close()
        assert set(answered) <= found
        assert {(session, code) for session, codes in answered.items() for code in codes} <= codes
        assert {session for session, _ in codes} <= found
        server.start()
    assert len(answered) >= 400


def test_every_answer_comes_after_its_sync(make_server, tmp_path):
    """kill -9 loses nothing that the kernel has: that an answer waits for the disk is seen at the system calls."""
    server = make_server()
    ana = server.user("ana")
    trace = tmp_path / "trace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-e", "trace=fdatasync,fsync,write,writev,sendto,sendmsg", "-s", "20", "-o", str(trace),
         "-p", str(server.process.pid)], stderr=subprocess.PIPE)
    wait_for(lambda: trace.exists(), "the trace")
    before = wait_for(lambda: (server.call("GET", "/health"), trace.read_text().count("HTTP/1.1"))[1], "a traced answer")
    for number in range(20):
        assert ana.call("POST", "/sessions", {"hostPublicKey": f"k{number}"})[0] == 201
    tracer.terminate()
    tracer.wait()
    lines = trace.read_text().splitlines()
    answers = [index for index, line in enumerate(lines) if '"HTTP/1.1 201' in line]
    assert len(answers) == 20, before
    synced = [index for index, line in enumerate(lines)
              if re.search(r"(fdatasync|fsync)(\(\d+\)| resumed>\)) += 0", line)]
    last = 0
    for answer in answers:
        assert any(last <= index < answer for index in synced), f"answer {answer} came before its sync"
        last = answer


def test_users_can_be_added_while_the_server_works(make_server):
    server = make_server()
    ana = server.user("ana")
    stop = threading.Event()
    failures = []

    def work():
        while not stop.is_set():
            status, body = ana.call("POST", "/sessions", {"hostPublicKey": "k"})
            if status != 201:
                failures.append(body)

    thread = threading.Thread(target=work)
    thread.start()
    names = [server.user(f"user{number}") for number in range(10)]
    stop.set()
    thread.join()
    assert not failures
    assert all(user.call("GET", "/auth/me")[1]["username"] == user.name for user in names)


def test_the_state_directory_is_private_and_holds_no_token(make_server):
    import os
    server = make_server()
    ana = server.user("ana")
    for directory, _, names in os.walk(server.state):
        assert os.stat(directory).st_mode & 0o077 == 0, directory
        for name in names:
            path = os.path.join(directory, name)
            assert os.stat(path).st_mode & 0o077 == 0, path
            assert ana.token.encode() not in open(path, "rb").read()
    assert os.stat(server.state).st_mode & 0o077 == 0


def test_health_says_so_when_the_database_does_not_answer(make_server):
    import os
    server = make_server()
    for name in ("postern.db-wal", "postern.db"):
        with open(os.path.join(server.state, name), "r+b") as file:
            file.write(b"\xff" * max(4096, os.path.getsize(file.name)))
    status, body = server.call("GET", "/health")
    assert status == 503 and body == {
        "status": "error", "message": "The database does not respond; see the server's log."}
    assert "level=error" in server.log.read_text()
