"""The machines' part of `make bench`: what an enrolled machine that only holds on costs its server.

MACHINES links (5,000) by mutual TLS from this process, each with a key of its own and a report every ten seconds as the agent sends it.
Memory is the server's resident memory by link; CPU its share of one core while all report; and how soon all are back after a restart.
The generator is this Python process on the same cores, which is what bounds how fast they come back.
"""

import asyncio
import datetime
import json
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Tests/Integration"))
from conftest import Server  # noqa: E402

QUICK = bool(os.environ.get("QUICK"))
MACHINES = int(os.environ.get("MACHINES", "500" if QUICK else "5000"))
SECONDS = int(os.environ.get("MACHINE_SECONDS", "20" if QUICK else "60"))
HELLO, WELCOME, PING, PONG, GOAWAY, CALL = 1, 2, 10, 11, 12, 13
REPORT = {"call": "machine.report", "tunnel": "", "report": {
    "load": [0.2, 0.3, 0.1], "processors": 4, "memoryTotal": 8 << 30, "memoryAvailable": 5 << 30, "diskTotal": 100 << 30,
    "diskFree": 60 << 30, "uptime": 1000, "tunnels": 2}}


def frame(kind, payload, stream=0):
    return bytes([kind, 0, 0, 0]) + stream.to_bytes(4, "big") + len(payload).to_bytes(4, "big") + payload


def certificate(directory, number):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "machine")])
    now = datetime.datetime(2026, 1, 1)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(number + 1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=3650)).sign(key, hashes.SHA256()))
    pem = made.public_bytes(serialization.Encoding.PEM)
    path = directory / f"{number}.pem"
    path.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + pem)
    return path, pem.decode()


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Link:
    def __init__(self, port, path):
        self.port = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.set_alpn_protocols(["postern-link/1"])
        self.context.load_cert_chain(path)
        self.instance = os.urandom(11).hex()
        self.number = 0
        self.reports = 0

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)
        self.writer.write(frame(HELLO, json.dumps({
            "versions": [1], "software": "bench", "token": None, "instance": self.instance, "credit": 65536, "capabilities": []}).encode()))
        kind, payload = await self.read()
        assert kind == WELCOME, payload

    async def read(self):
        head = await self.reader.readexactly(12)
        return head[0], await self.reader.readexactly(int.from_bytes(head[8:12], "big"))

    async def listen(self):
        while True:
            kind, payload = await self.read()
            if kind == PING:
                self.writer.write(frame(PONG, payload))
            if kind == GOAWAY:
                return
            if kind == 14:
                self.reports += 1

    async def report(self, until):
        await asyncio.sleep(10 * int.from_bytes(os.urandom(2), "big") / 65536)
        while time.monotonic() < until:
            self.number += 1
            self.writer.write(frame(CALL, self.number.to_bytes(4, "big") + json.dumps(REPORT).encode()))
            await asyncio.sleep(10)


async def open_all(links, at_once=64):
    limit = asyncio.Semaphore(at_once)

    async def one(link):
        async with limit:
            while True:
                try:
                    return await link.open()
                except (OSError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.2)
    await asyncio.gather(*(one(link) for link in links))


async def measure(server, links):
    for link in links[:50]:
        await link.open()
    listening = [asyncio.create_task(link.listen()) for link in links[:50]]
    await asyncio.sleep(3)
    before = server.rss()
    begun = time.monotonic()
    await open_all(links[50:])
    first = time.monotonic() - begun
    listening += [asyncio.create_task(link.listen()) for link in links[50:]]
    await asyncio.sleep(5)
    idle = (server.rss() - before) * 1024 / (len(links) - 50)
    until = time.monotonic() + SECONDS + 10
    reporting = [asyncio.create_task(link.report(until)) for link in links]
    await asyncio.sleep(10)
    spent, counted = cpu(server.process.pid), sum(link.reports for link in links)
    started = time.monotonic()
    await asyncio.sleep(SECONDS)
    share = (cpu(server.process.pid) - spent) / (time.monotonic() - started)
    rate = (sum(link.reports for link in links) - counted) / (time.monotonic() - started)
    reported = (server.rss() - before) * 1024 / (len(links) - 50)
    for task in listening + reporting:
        task.cancel()
    await asyncio.gather(*listening, *reporting, return_exceptions=True)
    server.stop()
    for link in links:
        link.writer.close()
    await asyncio.to_thread(server.start)
    begun = time.monotonic()
    spent = cpu(server.process.pid)
    await open_all(links, 256)
    back = time.monotonic() - begun
    busy = (cpu(server.process.pid) - spent) / back
    return {"first": first, "idle": idle, "reported": reported, "share": share, "rate": rate, "back": back, "busy": busy}


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as work:
        directory = Path(work)
        server = Server(
            directory / "state", "--joins-per-minute", "1000000", "--public-calls-per-minute", "1000000",
            "--connections-per-address", "100000", tls=True).start()
        ana = server.user("ana")
        context = ssl._create_unverified_context()

        def enrol(number):
            path, pem = certificate(directory, number)
            request = urllib.request.Request(
                f"{server.url}/machines", method="POST", headers={"Authorization": f"Bearer {ana.token}"}, data=json.dumps({
                    "certificate": pem, "name": f"m{number}", "hostName": "m", "allows": ["tunnels"], "software": "bench",
                    "platform": "linux"}).encode())
            with urllib.request.urlopen(request, context=context) as answer:
                assert answer.status == 201
            return path
        with ThreadPoolExecutor(16) as pool:
            paths = list(pool.map(enrol, range(MACHINES)))
        server.restart()
        port = int(server.url.rsplit(":", 1)[1])
        server.address = f"127.0.0.1:{port}"
        found = asyncio.run(measure(server, [Link(port, path) for path in paths]))
        server.stop()
    print(f"\n### Enrolled machines\n\n{MACHINES:,} links by mutual TLS, each with a report every ten seconds; the generator is one Python process "
          f"on the same two cores.\n")
    print("| question | measured | asked |\n|---|---|---|")
    print(f"| KiB of the server for an idle link | {found['idle']:.1f} | ≤ 30 |")
    print(f"| the same, with its last report | {found['reported']:.1f} | |")
    print(f"| CPU of the server while all report ({found['rate']:.0f} reports a second) | {found['share'] * 100:.1f} % of a core | |")
    print(f"| all are back after a restart in | {found['back']:.1f} s, the server {found['busy'] * 100:.0f} % of a core busy | < 30 s |")


main()
