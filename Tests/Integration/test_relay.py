"""The relay's contract, by the `websockets` package: JSON peers and binary peers, in one room together."""

import asyncio
import base64
import json
import os
import random
import ssl
import struct

import pytest
import websockets

from conftest import PATIENCE, wait_for
from test_attacks import metric


class Peer:
    """One native client of the relay."""

    def __init__(self, socket):
        self.socket = socket
        self.kept = []
        self.number = 0

    @classmethod
    async def connect(cls, server):
        return cls(await websockets.connect(
            server.url.replace("http", "ws", 1) + "/relay", subprotocols=["postern.v1"], compression=None,
            max_size=None, max_queue=None, ssl=ssl._create_unverified_context() if server.tls else None))

    async def send(self, type, **fields):
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def ask(self, type, **fields):
        """Sends a request and returns its ack; what comes before is kept."""
        self.number += 1
        await self.send(type, id=self.number, **fields)
        return await self.next(lambda message: message.get("type") == "ack" and message.get("id") == self.number)

    async def next(self, wanted):
        for index, message in enumerate(self.kept):
            if wanted(message):
                return self.kept.pop(index)
        while True:
            data = await asyncio.wait_for(self.socket.recv(), PATIENCE)
            message = json.loads(data) if isinstance(data, str) else Frame.read(data)
            if wanted(message):
                return message
            self.kept.append(message)

    async def event(self, type, **fields):
        return await self.next(lambda m: m.get("type") == type and all(m.get(k) == v for k, v in fields.items()))

    async def frame(self, kind):
        return await self.next(lambda m: isinstance(m, Frame) and m["kind"] == kind)

    async def closed(self):
        """Waits for the end and returns (code, reason)."""
        try:
            while True:
                data = await asyncio.wait_for(self.socket.recv(), PATIENCE)
                self.kept.append(json.loads(data) if isinstance(data, str) else Frame.read(data))
        except websockets.ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")

    async def leave(self):
        await self.socket.close()

    def drop(self):
        """Without a word, as a failing network does."""
        self.socket.transport.abort()


class Frame(dict):
    """A binary frame: docs/protocol.md, "Binary frames"."""

    @classmethod
    def read(cls, data):
        version, kind, slot, epoch, sequence = struct.unpack(">BBHIQ", data[:16])
        return cls(version=version, kind=kind, slot=slot, epoch=epoch, sequence=sequence, payload=data[16:])

    @staticmethod
    def write(kind, sequence, payload, slot=0, epoch=1):
        return struct.pack(">BBHIQ", 1, kind, slot, epoch, sequence) + payload


class Room:
    """A session with a code for each permission, and a host in the relay."""

    def __init__(self, server, owner):
        self.server, self.owner = server, owner
        self.id = owner.call("POST", "/sessions", {"hostPublicKey": "hostkey"})[1]["id"]
        self.codes = {permission: self.code(permission) for permission in ("read", "control")}

    def code(self, permission, **options):
        return self.owner.call("POST", f"/sessions/{self.id}/codes", {"permission": permission, **options})[1]["code"]

    async def host(self, binary=True):
        host = await Peer.connect(self.server)
        host.ack = await host.ask("joinAsHost", token=self.owner.token, sessionId=self.id, binary=binary)
        assert host.ack["success"], host.ack
        return host

    async def guest(self, user, permission="control", binary=True, code=None):
        guest = await Peer.connect(self.server)
        guest.ack = await guest.ask(
            "joinAsGuest", token=user.token, code=code or self.codes[permission], guestPublicKey="guestkey", binary=binary)
        return guest


def run(body):
    asyncio.run(body())


def test_join_acks_have_every_field_of_the_contract(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        assert set(host.ack) == {"type", "id", "success", "peerId", "resumeToken"}
        guest = await room.guest(ben, "read")
        assert guest.ack["success"] and guest.ack["hostPublicKey"] == "hostkey" and guest.ack["permission"] == "read"
        assert guest.ack["hostUsername"] == "ana" and guest.ack["sessionId"] == room.id and guest.ack["slot"] == 1
        joined = await host.event("guestJoined")
        assert joined["username"] == "ben" and joined["guestPublicKey"] == "guestkey" and joined["permission"] == "read"
        assert joined["peerId"] == guest.ack["peerId"] and joined["userId"] == ben.id
    run(body)


def test_refused_joins_say_why(server, ana, ben):
    async def body():
        room = Room(server, ana)
        peer = await Peer.connect(server)
        assert (await peer.ask("joinAsHost", token="nonsense", sessionId=room.id))["error"] == "Invalid token"
        assert (await peer.ask("joinAsHost", token=ben.token, sessionId=room.id))["error"] == "Unauthorized"
        async def error(code, token=ben.token):
            return (await peer.ask("joinAsGuest", token=token, code=code, guestPublicKey="k"))["error"]
        assert await error("SYCLX-000000") == "Code not found"
        assert await error(room.codes["read"], "nonsense") == "Invalid token"
        once = room.code("read", maxUses=1)
        await room.guest(ben, code=once)
        assert await error(once) == "Code usage limit reached"
        ana.call("DELETE", f"/codes/{room.codes['read']}")
        assert await error(room.codes["read"]) == "Code has been revoked"
        assert (await peer.ask("relay", encryptedData="x", nonce="n"))["error"] == "Not connected to a session"
        assert (await peer.ask("keyExchange", payload="x"))["error"] == "Not connected"
        assert (await peer.ask("resume", resumeToken="x.y"))["error"] == "Resume window passed"
        ana.call("DELETE", f"/sessions/{room.id}")
        assert await error(once) == "Session has ended"
    run(body)


def test_binary_frames_go_where_their_kind_says(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        one, two = await room.guest(ben), await room.guest(ben, "read")
        # Broadcasts make sense from a snapshot on: before it they are not for this guest.
        await host.socket.send(Frame.write(1, 1, b"early"))
        await host.socket.send(Frame.write(3, 0, b"snap", slot=1))
        await host.socket.send(Frame.write(1, 2, b"both?"))
        await host.socket.send(Frame.write(2, 1, b"direct", slot=2))
        assert (await one.frame(3))["payload"] == b"snap"
        assert (await one.frame(1)) == {"version": 1, "kind": 1, "slot": 0, "epoch": 1, "sequence": 2, "payload": b"both?"}
        assert (await two.frame(2))["payload"] == b"direct" and not two.kept
        # The relay writes the sender's slot, whatever the sender wrote.
        await one.socket.send(Frame.write(4, 0, b"typed", slot=77))
        await two.socket.send(Frame.write(5, 0, b"ack", slot=77))
        assert (await host.frame(4))["slot"] == 1 and (await host.frame(5))["slot"] == 2
        # A read guest's input is refused.
        await two.socket.send(Frame.write(4, 1, b"typed"))
        assert (await two.event("warning"))["code"] == "read_only"
        assert (await two.ask("relay", encryptedData="x", nonce="n"))["error"] == "Read-only permission"
    run(body)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_what_is_sent_behind_a_join_reaches_the_room_in_order_and_behind_the_join(make_server, tls):
    # A connection moves to its room's event loop while its join is answered: with several rooms most of them do.
    server = make_server("--joins-per-minute", "100000", tls=tls)
    ana, ben = server.user("ana", "--plan", "enterprise"), server.user("ben")

    async def body():
        async def one():
            room = Room(server, ana)
            host = await room.host()
            guest = await Peer.connect(server)
            await guest.send("joinAsGuest", id=1, token=ben.token, code=room.codes["control"], guestPublicKey="k", binary=True)
            for number in range(6):
                await guest.send("keyExchange", id=number + 2, payload=f"key {number}")
                await guest.socket.send(Frame.write(4, number + 1, b"typed %d" % number))
            for number in range(6):
                assert (await guest.next(lambda m: m.get("id") == number + 2))["success"]
            await guest.socket.send(Frame.write(4, 7, b"the last"))
            heard = []
            while not heard or heard[-1] != b"the last":
                message = await host.next(lambda m: isinstance(m, Frame) or m.get("type") in ("guestJoined", "keyExchange"))
                heard.append(message["payload"] if isinstance(message, Frame) else message.get("payload", "joined"))
            between = [part for number in range(6) for part in (f"key {number}", b"typed %d" % number)]
            assert heard == ["joined", *between, b"the last"]
            await guest.leave()
            await host.event("peerDisconnected")
            await host.leave()

        await asyncio.gather(*(one() for _ in range(12)))

    run(body)
    # Every connection is counted out again, whichever channels carried it.
    wait_for(lambda: metric(server, "postern_connections") <= 1, "the connections to end")


def test_json_and_binary_peers_share_a_room(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        old, new = await room.guest(ben, binary=False), await room.guest(ben)
        for slot in (1, 2):
            await host.socket.send(Frame.write(3, slot, b"snap", slot=slot))
        await host.socket.send(Frame.write(1, 1, b"\x00\xffdata"))
        assert (await new.frame(1))["payload"] == b"\x00\xffdata"
        event = await old.event("relayData", kind=1)
        assert base64.b64decode(event["encryptedData"]) == b"\x00\xffdata" and event["from"] == "host"
        assert event["fromUserId"] == ana.id and event["fromPeerId"] == host.ack["peerId"] and event["sequence"] == 1
        assert base64.b64decode(event["nonce"]) == Frame.write(1, 1, b"")
        # JSON from the host: broadcast, to a user, to a peer.
        assert (await host.ask("relay", encryptedData="all", nonce="n"))["success"]
        for guest in (old, new):
            event = await guest.event("relayData", encryptedData="all")
            assert event["nonce"] == "n" and event["sequence"] == 2
        await host.ask("relay", encryptedData="one", nonce="n", targetPeerId=new.ack["peerId"])
        await new.event("relayData", encryptedData="one")
        await host.ask("relay", encryptedData="user", nonce="n", targetUserId=ben.id)
        await new.event("relayData", encryptedData="user")
        await old.event("relayData", encryptedData="user")
        assert not [m for m in old.kept if m.get("encryptedData") == "one"]
        # JSON from a guest reaches the host, and only the host.
        await old.ask("relay", encryptedData="typed", nonce="n")
        event = await host.event("relayData", encryptedData="typed")
        assert event["from"] == "guest" and event["fromUserId"] == ben.id and event["fromPeerId"] == old.ack["peerId"]
        # Handshake payloads pass both ways.
        await new.ask("keyExchange", payload="hello")
        assert (await host.event("keyExchange"))["fromPeerId"] == new.ack["peerId"]
        await host.ask("keyExchange", targetPeerId=new.ack["peerId"], publicKey="pk")
        assert (await new.event("keyExchange"))["publicKey"] == "pk"
    run(body)


def test_a_guest_resumes_within_the_ring_and_loses_and_repeats_nothing(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        guest = await room.guest(ben)
        await host.socket.send(Frame.write(3, 0, b"", slot=1))
        for number in range(1, 51):
            await host.socket.send(Frame.write(1, number, b"%d" % number))
        for number in range(1, 31):
            assert (await guest.frame(1))["sequence"] == number
        guest.drop()
        gone = await host.event("peerDisconnected")
        assert gone["peerId"] == guest.ack["peerId"] and gone["isHost"] is False and gone["mayReturnUntil"]
        for number in range(51, 61):
            await host.socket.send(Frame.write(1, number, b"%d" % number))
        back = await Peer.connect(server)
        ack = await back.ask("resume", resumeToken=guest.ack["resumeToken"], lastSequence=30, binary=True)
        assert ack["success"] and ack["fromSequence"] == 31
        await host.event("peerReturned", peerId=guest.ack["peerId"])
        await host.socket.send(Frame.write(1, 61, b"61"))
        assert [(await back.frame(1))["sequence"] for _ in range(31)] == list(range(31, 62))
        # A use is not counted again.
        assert ana.call("GET", "/sessions")[1][0]["codes"][0]["currentUses"] + \
            ana.call("GET", "/sessions")[1][0]["codes"][1]["currentUses"] == 1
    run(body)


def test_resume_beyond_the_ring_says_so_and_the_seat_remains(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        guest = await room.guest(ben)
        for number in range(1, 41):
            await host.socket.send(Frame.write(1, number, bytes(100_000)))
        await host.ask("keyExchange", targetPeerId=guest.ack["peerId"], payload="sync")
        guest.drop()
        await host.event("peerDisconnected")
        back = await Peer.connect(server)
        ack = await back.ask("resume", resumeToken=guest.ack["resumeToken"], lastSequence=1, binary=True)
        assert ack == {"type": "ack", "id": 1, "success": False, "error": "Resume window passed"}
        ack = await back.ask("resume", resumeToken=guest.ack["resumeToken"], binary=True)
        assert ack["success"] and ack["fromSequence"] == 41
    run(body)


def test_the_host_drops_and_returns(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        guest = await room.guest(ben)
        await host.socket.send(Frame.write(3, 0, b"", slot=1))
        await host.socket.send(Frame.write(1, 1, b"x"))
        await guest.frame(1)
        host.drop()
        gone = await guest.event("peerDisconnected")
        assert gone["isHost"] and gone["mayReturnUntil"] > "2026"
        back = await Peer.connect(server)
        ack = await back.ask("resume", resumeToken=host.ack["resumeToken"], binary=True)
        assert ack["success"] and ack["fromSequence"] == 2
        assert (await back.event("guestJoined"))["peerId"] == guest.ack["peerId"]
        assert (await guest.event("peerReturned"))["isHost"]
        await back.socket.send(Frame.write(1, 2, b"y"))
        assert (await guest.frame(1))["payload"] == b"y"
        # A second connection takes the seat from the first.
        other = await Peer.connect(server)
        assert (await other.ask("joinAsHost", token=ana.token, sessionId=room.id, binary=True))["success"]
        assert (await back.closed())[0] == 4409
        assert (await other.event("guestJoined"))["peerId"] == guest.ack["peerId"]
    run(body)


def test_a_host_that_does_not_return_ends_the_session(make_server):
    server = make_server("--host-return", "1")
    ana, ben = server.user("ana", "--plan", "free"), server.user("ben")

    async def body():
        room = Room(server, ana)
        host = await room.host()
        guest = await room.guest(ben)
        host.drop()
        assert (await guest.event("sessionEnded"))["reason"] == "host_gone"
        assert (await guest.closed())[0] == 1000
        assert ana.call("GET", "/sessions")[1] == []
    run(body)
    # Its share limit is free again.
    assert ana.call("POST", "/sessions", {"hostPublicKey": "k"})[0] == 201


def test_ending_kicking_and_deleting_reach_everybody(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        guest, other = await room.guest(ben), await room.guest(ben)
        assert (await guest.ask("kick", peerId=other.ack["peerId"]))["error"] == "Only the host can do that"
        assert (await host.ask("kick", peerId="nobody"))["error"] == "No such guest"
        assert (await host.ask("kick", peerId=other.ack["peerId"]))["success"]
        assert (await other.closed())[0] == 4403
        assert "mayReturnUntil" not in await host.event("peerDisconnected")
        back = await Peer.connect(server)
        assert not (await back.ask("resume", resumeToken=other.ack["resumeToken"]))["success"]
        assert ana.call("DELETE", f"/sessions/{room.id}")[0] == 204
        for peer in (host, guest):
            assert (await peer.event("sessionEnded"))["reason"] == "deleted"
            assert (await peer.closed())[0] == 1000
        second = Room(server, ana)
        host = await second.host()
        guest = await second.guest(ben)
        assert (await host.ask("endSession"))["success"]
        assert (await guest.event("sessionEnded"))["reason"] == "host_ended"
        assert ana.call("GET", "/sessions")[1] == []
    run(body)


def test_the_viewer_limit_holds_under_a_race(server, ben):
    free = server.user("free", "--plan", "free")

    async def body():
        room = Room(server, free)
        await room.host()
        guests = await asyncio.gather(*(room.guest(ben) for _ in range(12)))
        assert sum(guest.ack["success"] for guest in guests) == 2
        assert {guest.ack.get("error") for guest in guests if not guest.ack["success"]} == \
            {"Viewer limit reached (2). The host can upgrade to Pro for more."}
        # A seat that was given up is free again.
        seated = next(guest for guest in guests if guest.ack["success"])
        await seated.leave()
        while not (again := await room.guest(ben)).ack["success"]:
            await again.leave()
    run(body)


def test_a_guest_that_does_not_read_skips_and_delays_nobody(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        slow, quick = await room.guest(ben), await room.guest(ben)
        for slot in (1, 2):
            await host.socket.send(Frame.write(3, slot, b"snap", slot=slot))
        await slow.frame(3)
        slow.socket.transport.pause_reading()
        total = 400
        for number in range(1, total + 1):
            # As fast as the quick guest reads: a host that sends faster than that makes everybody slow.
            await host.socket.send(Frame.write(1, number, bytes(65536)))
            assert (await quick.frame(1))["sequence"] == number
        assert server.rss() < 200
        slow.socket.transport.resume_reading()
        assert (await slow.event("warning"))["code"] == "slow_consumer"
        await host.socket.send(Frame.write(1, total + 1, b"not yet"))
        await host.socket.send(Frame.write(3, 9, b"again", slot=1))
        await host.socket.send(Frame.write(1, total + 2, b"now"))
        while (await slow.frame(3))["payload"] != b"again":
            pass
        seen = [m["sequence"] for m in slow.kept if isinstance(m, Frame) and m["kind"] == 1]
        assert total + 1 not in seen and (await slow.frame(1)) and len(seen) < total
    run(body)


def test_a_guest_that_floods_the_host_is_closed(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        guest = await room.guest(ben)
        try:
            for number in range(100):
                await guest.socket.send(Frame.write(4, number, bytes(500_000)))
        except websockets.ConnectionClosed:
            pass
        assert (await guest.closed())[0] == 4429
        assert (await host.ask("kick", peerId="nobody"))["error"] == "No such guest"
    run(body)


@pytest.mark.parametrize("message, code", [
    ("nonsense", 4400), ("[]", 4400), ('{"type":5}', 4400), ('{"type":"unknown"}', 4400), ("{}", 4400),
    ('{"type":"joinAsHost"}', 4400), ('{"type":"joinAsHost","token":5,"sessionId":"x"}', 4400),
    ('{"type":"joinAsGuest","token":"' + "x" * 3000 + '","code":"c","guestPublicKey":"k"}', 4400),
    ('{"type":"kick","peerId":"' + "x" * 70000 + '"}', 4400), (b"", 4400), (b"\x01", 4400), (bytes(16), 4400),
])
def test_bad_messages_close_with_a_reason(server, message, code):
    async def body():
        peer = await Peer.connect(server)
        await peer.socket.send(message)
        found, reason = await peer.closed()
        assert found == code and reason
    run(body)


@pytest.mark.parametrize("frame", [
    b"", b"\x01", Frame.write(1, 0, b""), Frame.write(1, 2**64 - 1, b""), Frame.write(4, 1, b""), Frame.write(9, 1, b""),
    b"\x02" + Frame.write(1, 1, b"")[1:],
])
def test_bad_frames_of_a_host_close_with_4400(server, ana, frame):
    async def body():
        host = await Room(server, ana).host()
        await host.socket.send(frame)
        assert (await host.closed())[0] == 4400
    run(body)


def test_broadcasts_must_be_numbered_without_gaps(server, ana):
    async def body():
        host = await Room(server, ana).host()
        await host.socket.send(Frame.write(1, 5, b""))
        await host.socket.send(Frame.write(1, 7, b""))
        code, reason = await host.closed()
        assert code == 4400 and "7" in reason and "5" in reason
    run(body)


def test_numbers_at_the_end_of_their_range_stop_the_sender_and_not_the_server(server, ana):
    async def body():
        room = Room(server, ana)
        for sequence in (2**64 - 1, 2**64 - 2, 2**62):
            host = await room.host()
            await host.socket.send(Frame.write(1, sequence, b""))
            assert (await host.closed())[0] == 4400
        host = await room.host()
        await host.socket.send(Frame.write(1, 2**62 - 1, b""))
        for _ in range(3):
            assert (await host.ask("relay", encryptedData="x", nonce="n"))["success"]
        assert server.call("GET", "/health")[0] == 200
    run(body)


def test_guests_that_came_before_their_host_hear_of_it(server, ana, ben):
    async def body():
        room = Room(server, ana)
        guest = await room.guest(ben)
        assert (await guest.ask("keyExchange", payload="hello"))["error"] == "Not connected"
        host = await room.host()
        assert (await guest.event("peerReturned"))["isHost"]
        assert (await host.event("guestJoined"))["peerId"] == guest.ack["peerId"]
    run(body)


def test_pings_of_a_peer_that_does_not_read_do_not_pile_up(server, ana):
    async def body():
        host = await Room(server, ana).host()
        host.socket.transport.pause_reading()
        before = server.rss()
        try:
            for _ in range(400_000):
                host.socket.protocol.send_ping(bytes(125))
                host.socket.transport.write(b"".join(host.socket.protocol.data_to_send()))
                if host.socket.transport.get_write_buffer_size() > 1 << 20:
                    await asyncio.sleep(0)
                    if host.socket.transport.get_write_buffer_size() > 4 << 20:
                        break
        except websockets.ConnectionClosed:
            pass
        assert server.rss() < before + 20
        host.drop()
    run(body)


def test_too_large_a_message_is_refused(server, ana):
    async def body():
        host = await Room(server, ana).host()
        try:
            await host.socket.send(Frame.write(1, 1, bytes(2 << 20)))
        except websockets.ConnectionClosed:
            pass  # The header alone said enough.
        assert (await host.closed())[0] == 1009
    run(body)


def test_ten_thousand_malformed_frames_leave_the_server_as_it_was(server, ana, ben):
    async def body():
        dice = random.Random(11)
        room = Room(server, ana)
        before = None
        for round in range(200):
            host = await room.host()
            guest = await room.guest(ben)
            for peer in (host, guest):
                try:
                    for _ in range(25):
                        await peer.socket.send(dice.randbytes(dice.randrange(0, 64)) if dice.random() < 0.7 else
                                               json.dumps({"type": dice.choice(["relay", "kick", "resume", "x"]),
                                                           "peerId": dice.choice([1, "x", None, []])}))
                except websockets.ConnectionClosed:
                    pass
                await peer.leave()
            if round == 50:
                before = server.rss()
        assert server.call("GET", "/health")[0] == 200 and server.rss() < before + 30
    run(body)


def test_joins_are_rate_limited(make_server):
    server = make_server("--joins-per-minute", "3")
    ana = server.user("ana")

    async def body():
        peer = await Peer.connect(server)
        for _ in range(3):
            assert (await peer.ask("joinAsHost", token="bad", sessionId="x"))["error"] == "Invalid token"
        assert "Too many joins" in (await peer.ask("joinAsHost", token=ana.token, sessionId="x"))["error"]
        assert (await peer.closed())[0] == 4429
    run(body)


def test_connections_of_one_address_are_bounded(make_server):
    server = make_server("--connections-per-address", "3")

    async def body():
        peers = [await Peer.connect(server) for _ in range(3)]
        with pytest.raises(Exception):
            await Peer.connect(server)
        await peers[0].leave()
        while True:
            try:
                await Peer.connect(server)
                return
            except Exception:
                await asyncio.sleep(0.01)
    run(body)


def test_stopping_tells_everybody_to_come_back(make_server):
    server = make_server()
    ana, ben = server.user("ana"), server.user("ben")

    async def body():
        room = Room(server, ana)
        host = await room.host()
        guest = await room.guest(ben)
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        for peer in (host, guest):
            assert (await peer.event("goingAway"))["reconnectInMilliseconds"] > 0
            assert (await peer.closed())[0] == 1001
        await stopping
        assert server.process.returncode == 0
        server.start()
        # The session waits for its host, and goes on.
        assert (await room.host()).ack["success"]
    run(body)
