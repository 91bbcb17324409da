"""Relays that are compiled here: uWebSockets, and the least that any relay must do."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from .peers import Peer

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class UWebSockets(Peer):
    """The fastest that is known. The registries have it inside PyPI's socketify, as a library with a C interface; what a
    relay needs around it is uws.c."""

    name, dialect, package = "uWebSockets", "bare", "gcc libuv1"
    release = "0.0.31"
    sha256 = "7502bed5b382e75f04ea3c6d6b53b76f27bb8653740db92e3f2b55fab388df20"
    kept = ROOT / ".build/socketify"

    @classmethod
    def library(cls):
        """Path of the library, fetched once; None where it cannot be had."""
        library = cls.kept / "libsocketify.so"
        if library.exists():
            return library
        if platform.machine() != "x86_64":
            return None
        cls.kept.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run([ROOT / ".venv/bin/pip" if (ROOT / ".venv").exists() else "pip", "download", "-q", "--no-deps",
                                  "--no-binary", ":all:", "-d", cls.kept, f"socketify=={cls.release}"], capture_output=True)
        archive = cls.kept / f"socketify-{cls.release}.tar.gz"
        if fetched.returncode or not archive.exists():
            return None
        if hashlib.sha256(archive.read_bytes()).hexdigest() != cls.sha256:
            sys.exit(f"postern: {archive} is not the socketify that is known; remove it, and look at what PyPI has")
        with tarfile.open(archive) as files:
            member = f"socketify-{cls.release}/src/socketify/libsocketify_linux_amd64.so"
            library.write_bytes(files.extractfile(member).read())
        return library

    @classmethod
    def missing(cls):
        if not shutil.which("cc") or not cls.loop():
            return cls.package
        return None if cls.library() else f"socketify {cls.release} from PyPI (x86-64 only)"

    @staticmethod
    def loop():
        return next(iter(sorted(Path("/usr/lib").glob("*/libuv.so.1"))), None)

    def start(self):
        relay = self.folder / "uws"
        subprocess.run(["cc", "-O2", "-o", relay, HERE / "uws.c", self.library(), self.loop()], check=True)
        shown = [self.cert, self.key] if self.tls else []
        self.run(relay, *shown, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def version(self):
        return f"of socketify {self.release}"


class Floor(Peer):
    """No relay that anybody could use: floor.c, the least that one on epoll must do. It says how far down there is to go."""

    name, dialect, binary, package, source, libraries = "(floor)", "bare", "cc", "gcc libssl-dev", "floor.c", ("-lcrypto",)

    def __init__(self, tls=False):
        if tls:
            raise ValueError("the floor has no TLS")
        super().__init__(tls)

    def start(self):
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-Wno-deprecated-declarations", "-o", self.folder / "floor",
                        HERE / self.source, *self.libraries], check=True)
        self.run(self.folder / "floor", stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())


class RingFloor(Floor):
    """The same by io_uring: all writes of a batch and the next read enter the kernel together."""

    name, source, libraries = "(io_uring)", "floor_uring.c", ("-lcrypto", "-luring")
    package = "gcc libssl-dev liburing-dev"

    @classmethod
    def missing(cls):
        return None if shutil.which("cc") and Path("/usr/include/liburing.h").exists() else cls.package
