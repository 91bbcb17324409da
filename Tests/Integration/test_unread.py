"""Peers that ask and do not read: what waits for them is bounded, for each connection and for the whole server, and given back."""

import os
import socket
import ssl
import threading

import pytest

from conftest import PATIENCE, wait_for
from test_attacks import Others, connect, metric

# A household's worth of connections from one address; `make soak` opens 250 each, and 2,000.
SOAK = "POSTERN_SOAK" in os.environ
CONNECTIONS = 250 if SOAK else 60
# Above what an idle server takes, in MiB: the bound for all unread answers (64), and as much again for what they are made from.
ALLOWANCE = 160


def flood(server, path, count, token=None, connections=CONNECTIONS):
    """Asks so often on each of so many connections, and reads nothing."""
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "") + "\r\n"
    requests = head.encode() * count
    opened = []
    for _ in range(connections):
        one = connect(server, server.tls)
        one.settimeout(0.2)
        try:
            one.sendall(requests)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            pass  # The server has stopped reading, or has given this peer up: what is wanted.
        opened.append(one)
    return opened


def settled(server):
    """The peak once nothing moves any more."""
    peaks = []

    def still():
        peaks.append(server.rss())
        return len(peaks) > 60 and max(peaks[-60:]) <= max(peaks[:-60]) + 1
    wait_for(still, "the flood to stand still")
    return max(peaks)


@pytest.mark.parametrize("path", ["/openapi.json", "/", "/metrics", "/nowhere"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_answers_that_nobody_reads_are_bounded_and_given_back(make_server, path, tls):
    server = make_server("--connections-per-address", "1000", tls=tls)
    idle = server.rss()
    with Others(server):
        opened = flood(server, path, 1500)
        peak = settled(server)
        assert peak < idle + ALLOWANCE, f"{idle:.0f} -> {peak:.0f} MiB"
        [one.close() for one in opened]
        wait_for(lambda: metric(server, "postern_connections") < 10, "the connections to be gone")
    wait_for(lambda: server.rss() < idle + 48, lambda: f"{idle:.0f} MiB before, {server.rss():.0f} after")
    print(f"\n{path} {'tls' if tls else 'plain'}: idle {idle:.0f}, peak {peak:.0f}, after {server.rss():.0f} MiB")


def test_exports_that_nobody_reads_are_bounded(make_server):
    server = make_server("--connections-per-address", "1000")
    ana = server.user("ana")
    for _ in range(30):
        status, session = ana.call("POST", "/sessions", {"hostPublicKey": "k" * 500, "sessionName": "n" * 120})
        assert status == 201
    idle = server.rss()
    organisation = ana.call("GET", "/organisations")[1][0]["id"]
    opened = flood(server, f"/organisations/{organisation}/export", 50, token=ana.token, connections=30)
    assert settled(server) < idle + ALLOWANCE
    [one.close() for one in opened]


def test_the_connection_that_is_stalled_for_longest_makes_room(make_server):
    """More than 64 MiB of answers: the earliest peers that do not read are closed, and one that reads is served."""
    server = make_server("--connections-per-address", "3000", tls=True)
    # One answer waits for each connection: 64 MiB of them take more than a thousand.
    opened = flood(server, "/openapi.json", 100, connections=2500)
    settled(server)
    assert metric(server, "postern_unread_answers_dropped_total") > 0
    assert metric(server, "postern_unread_answer_bytes") <= 64 << 20
    assert server.call("GET", "/health")[0] == 200
    print(f"\n{len(opened)} stalled TLS connections: {server.rss():.0f} MiB")
    [one.close() for one in opened]


def test_pipelined_requests_are_all_answered_in_order_by_whoever_reads(server):
    one = connect(server)
    paths = [f"/nowhere/{number}" for number in range(300)]
    threading.Thread(target=lambda: one.sendall(
        b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Number: {path}\r\n\r\n".encode() for path in paths[:-1])
        + f"GET {paths[-1]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())).start()
    text = b""
    while chunk := one.recv(65536):
        text += chunk
    assert text.count(b"HTTP/1.1 404") == 300


def test_a_body_in_pieces_behind_other_requests_arrives_whole(server, ana):
    body = b'{"hostPublicKey":"' + b"k" * 400 + b'"}'
    head = (f"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ana.token}\r\n"
            f"Content-Length: {len(body)}\r\n").encode()
    one = connect(server)
    one.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + head + b"\r\n" + body[:100])
    one.sendall(body[100:] + head + b"Connection: close\r\n\r\n" + body)
    text = b""
    while chunk := one.recv(65536):
        text += chunk
    assert text.count(b"HTTP/1.1 200") == 3 and text.count(b"HTTP/1.1 201") == 2, text[-400:]


def test_a_half_closed_client_gets_all_its_answers(server):
    one = connect(server)
    one.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    one.shutdown(socket.SHUT_WR)
    one.settimeout(PATIENCE)
    text = b""
    while chunk := one.recv(65536):
        text += chunk
    assert text.count(b"HTTP/1.1 200") == 20


def test_without_a_descriptor_left_the_server_waits_says_so_and_goes_on(make_server):
    import resource
    import subprocess

    server = make_server("--connections-per-address", "1000")
    limit = 80
    subprocess.run(["prlimit", f"--pid={server.process.pid}", f"--nofile={limit}:{limit}"], check=True)
    opened = [connect(server) for _ in range(100)]

    def spent():
        fields = open(f"/proc/{server.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / resource.getpagesize() * 40.96
    wait_for(lambda: "connections cannot be accepted" in server.log.read_text(), "the line in the log")
    before, failures = spent(), server.log.read_text().count("cannot be accepted")
    threading.Event().wait(2)  # The time that is measured: a loop that spins takes all of it.
    assert spent() - before < 100, "more than half a core"
    assert failures < 10
    [one.close() for one in opened]
    wait_for(lambda: server.call("GET", "/health")[0] == 200, "the server to accept again")
    assert metric(server, "postern_accept_failures_total") > 0
