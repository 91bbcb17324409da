"""How handshakes and memory change with the number of domains that have certificates: 1, 100 and 10,000 names.

Each case starts a server whose state has that many verified domains, with a certificate each, and measures the start, the memory, and new
connections of one client: to one name again and again, and to names at random. Ratios are to the first case of the same run.
"""

import datetime
import json
import os
import random
import re
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

POSTERN = os.environ.get("POSTERN", str(Path(__file__).resolve().parents[1] / ".build/release/postern"))
COUNTS = [int(one) for one in os.environ.get("NAMES", "1,100,10000").split(",")]
HANDSHAKES = int(os.environ.get("HANDSHAKES", "500"))
RUNS = int(os.environ.get("RUNS", "5"))


def authority():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
                   .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=90))
                   .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    return key, name, certificate.public_bytes(serialization.Encoding.PEM)


def write(state, names, ca):
    """The certificate of each name, as the server stores it after an order."""
    key, issuer, chain = ca
    now = datetime.datetime.now(datetime.timezone.utc)
    for number, name in enumerate(names):
        own = ec.generate_private_key(ec.SECP256R1())
        made = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(issuer).public_key(own.public_key())
                .serial_number(number + 2).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=90))
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), True).sign(key, hashes.SHA256()))
        directory = Path(state) / "domains" / name
        directory.mkdir(parents=True)
        (directory / "certificate.pem").write_bytes(
            made.public_bytes(serialization.Encoding.PEM) + chain
            + own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def start(state):
    begun = time.monotonic()
    process = subprocess.Popen(
        [POSTERN, "serve", "--state", state, "--https", "127.0.0.1:0", "--http", "off", "--tunnel-domain", "t.test", "--acme-agree", "yes",
         "--connections-per-address", "100000"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = process.stdout.readline()
    return process, int(re.search(r":(\d+)/", line).group(1)), time.monotonic() - begun


def resident(process):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text()).group(1)) / 1024


def handshakes(port, names):
    """New connections per second of one client, without resumption."""
    context = ssl._create_unverified_context()
    begun = time.monotonic()
    for name in names:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            with context.wrap_socket(plain, server_hostname=name):
                pass
    return len(names) / (time.monotonic() - begun)


def prepare(state, names, ca):
    process, _, _ = start(state)
    process.terminate()
    process.wait()
    done = subprocess.run([POSTERN, "user", "add", "ana", "--state", state, "--json"], capture_output=True, text=True, check=True)
    user = json.loads(done.stdout)["id"]
    now = int(time.time() * 1000)
    with sqlite3.connect(f"{state}/postern.db") as database:
        database.execute("INSERT INTO tunnels (id, organisation_id, user_id, kind, name, is_kept, created_at) VALUES (?, ?, ?, 'http', 'demo', 1, ?)",
                         ("tunnel", user, user, now))
        database.executemany(
            "INSERT INTO domains (id, organisation_id, user_id, name, proof, created_at, verified_at, checked_at, tunnel_id) VALUES (?, ?, ?, ?, 'p', ?, ?, ?, 'tunnel')",
            [(f"d{number}", user, user, name, now, now, now) for number, name in enumerate(names)])
    write(state, names, ca)


def main():
    ca = authority()
    cases = []
    with tempfile.TemporaryDirectory() as root:
        for count in COUNTS:
            names = [f"n{number}.example.org" for number in range(count)]
            state = f"{root}/{count}"
            prepare(state, names, ca)
            process, port, seconds = start(state)
            with socket.create_connection(("127.0.0.1", port)) as plain, ssl._create_unverified_context().wrap_socket(
                    plain, server_hostname=names[-1]) as tls:
                shown = tls.getpeercert(True)
            assert names[-1].encode() in shown, "the name's own certificate is not served"
            cases.append((count, process, port, seconds, resident(process), names, [], []))
        for _ in range(RUNS):
            for count, process, port, _, _, names, same, mixed in cases:
                same.append(handshakes(port, [names[0]] * HANDSHAKES))
                mixed.append(handshakes(port, random.choices(names, k=HANDSHAKES)))
        rows = [(count, seconds, memory, resident(process), statistics.median(same), statistics.median(mixed))
                for count, process, port, seconds, memory, names, same, mixed in cases]
        for _, process, *_ in cases:
            process.terminate()
            process.wait()
    first = rows[0]
    print(f"\n{HANDSHAKES} full handshakes of one client, medians of {RUNS} runs, {os.cpu_count()} cores\n")
    print("| names | start, s | memory, MiB | after the run, MiB | one name, handshakes/s | any name, handshakes/s | any name, ratio |")
    print("|---|---|---|---|---|---|---|")
    for count, seconds, memory, after, same, mixed in rows:
        print(f"| {count:,} | {seconds:.2f} | {memory:.0f} | {after:.0f} | {same:.0f} | {mixed:.0f} | {mixed / first[5]:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
