"""Relays that are compiled here: uWebSockets, and the least that any relay must do."""

import functools
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

from .peers import Peer

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class UWebSockets(Peer):
    """The registries have it inside PyPI's socketify, as a library over libuv with a C interface; what a relay needs around it
    is uws.c."""

    name, dialect, package = "uWebSockets", "bare", "gcc libc6-dev libuv1"
    release = "0.0.31"
    sha256 = "7502bed5b382e75f04ea3c6d6b53b76f27bb8653740db92e3f2b55fab388df20"
    kept = ROOT / ".build/socketify"

    @classmethod
    @functools.cache
    def library(cls):
        """Path of the library, fetched once; None where it cannot be had."""
        library = cls.kept / "libsocketify.so"
        if library.exists():
            return library
        pip = ROOT / ".venv/bin/pip"
        if platform.machine() != "x86_64" or not pip.exists():
            return None
        cls.kept.mkdir(parents=True, exist_ok=True)
        wanted = cls.kept / "wanted"
        wanted.write_text(f"socketify=={cls.release} --hash=sha256:{cls.sha256}\n")
        fetched = subprocess.run([pip, "download", "-q", "--no-deps", "--no-binary", ":all:", "--require-hashes", "-d", cls.kept,
                                  "-r", wanted])
        if fetched.returncode:
            return None
        with tarfile.open(cls.kept / f"socketify-{cls.release}.tar.gz") as files:
            member = f"socketify-{cls.release}/src/socketify/libsocketify_linux_amd64.so"
            partial = cls.kept / "partial"
            partial.write_bytes(files.extractfile(member).read())
        partial.rename(library)
        return library

    @classmethod
    def missing(cls):
        if not shutil.which("cc") or not cls.loop():
            return cls.package
        return None if cls.library() else f"socketify {cls.release} from PyPI (x86-64, and .venv of make setup)"

    @staticmethod
    def loop():
        return next(iter(sorted(Path("/usr/lib").glob("*/libuv.so.1"))), None)

    def start(self):
        relay = self.folder / "uws"
        subprocess.run(["cc", "-O2", "-o", relay, HERE / "uws.c", self.library(), self.loop()], check=True)
        shown = [self.cert, self.key] if self.tls else []
        self.run(relay, *shown, stdout=subprocess.PIPE)
        self.port = self.announced()

    def version(self):
        return f"of socketify {self.release}, over libuv"


class Floor(Peer):
    """No relay that anybody could use: floor.c, the least that one on epoll must do. It says how far down there is to go."""

    name, dialect, binary, package, source, libraries = "(floor)", "bare", "cc", "gcc libc6-dev libssl-dev", "floor.c", ("-lcrypto",)

    header = "openssl/sha.h"

    @classmethod
    def missing(cls):
        return None if shutil.which("cc") and Path("/usr/include", cls.header).exists() else cls.package

    def __init__(self, tls=False):
        if tls:
            raise ValueError("the floor has no TLS")
        super().__init__(tls)

    def start(self):
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-Wno-deprecated-declarations", "-o", self.folder / "floor",
                        HERE / self.source, *self.libraries], check=True)
        self.run(self.folder / "floor", stdout=subprocess.PIPE)
        self.port = self.announced()


class RingFloor(Floor):
    """The same by io_uring: all writes of a batch and the next read enter the kernel together."""

    name, source, libraries = "(io_uring)", "floor_uring.c", ("-lcrypto", "-luring")
    package, header = "gcc libc6-dev libssl-dev liburing-dev", "liburing.h"
