"""The Socket.IO front door, by the `python-socketio` client: the contract of the desktop client in the field, in rooms that
it shares with native peers."""

import asyncio

import pytest
import socketio
import websockets

from conftest import PATIENCE
from test_relay import Frame, Peer, Room, run

EVENTS = ["guestJoined", "relayData", "keyExchange", "peerDisconnected", "peerReturned", "sessionEnded", "warning", "goingAway"]


class Client:
    """One Socket.IO client in the namespace /relay, by WebSocket only, as the desktop client connects."""

    def __init__(self, server):
        self.server = server
        self.io = socketio.AsyncClient(reconnection=False, ssl_verify=False)
        self.events = asyncio.Queue()
        self.kept = []
        self.gone = asyncio.Event()
        for name in EVENTS:
            self.io.on(name, self.handler(name), namespace="/relay")
        self.io.on("disconnect", lambda *_: self.gone.set(), namespace="/relay")

    def handler(self, name):
        async def note(data):
            await self.events.put((name, data))
        return note

    async def connect(self):
        await self.io.connect(self.server.url, namespaces=["/relay"], transports=["websocket"], wait_timeout=PATIENCE)
        return self

    async def ask(self, event, **fields):
        return await self.io.call(event, fields, namespace="/relay", timeout=PATIENCE)

    async def event(self, name):
        for index, (kept, data) in enumerate(self.kept):
            if kept == name:
                self.kept.pop(index)
                return data
        while True:
            found, data = await asyncio.wait_for(self.events.get(), PATIENCE)
            if found == name:
                return data
            self.kept.append((found, data))

    async def host(self, room, user):
        return await self.ask("joinAsHost", token=user.token, sessionId=room.id)

    async def guest(self, room, user, permission="control"):
        return await self.ask("joinAsGuest", token=user.token, code=room.codes[permission], guestPublicKey="guestkey")


def test_the_desktop_clients_session_from_the_first_packet_to_the_last(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host, guest = await Client(server).connect(), await Client(server).connect()
        assert (await host.host(room, ana))["success"] is True
        joined = await guest.guest(room, ben)
        assert joined["success"] and joined["hostPublicKey"] == "hostkey" and joined["permission"] == "control"
        assert joined["hostUsername"] == "ana" and joined["sessionId"] == room.id
        told = await host.event("guestJoined")
        assert told["guestPublicKey"] == "guestkey" and told["username"] == "ben" and told["userId"] == ben.id
        # The host sends one ciphertext for each guest, to its user.
        assert (await host.ask("relay", encryptedData="c2VjcmV0", nonce="bm9uY2U=", targetUserId=ben.id))["success"]
        data = await guest.event("relayData")
        assert (data["encryptedData"], data["nonce"], data["from"]) == ("c2VjcmV0", "bm9uY2U=", "host")
        assert data["fromUserId"] == ana.id
        assert (await guest.ask("relay", encryptedData="a2V5cw==", nonce="bg=="))["success"]
        typed = await host.event("relayData")
        assert typed["from"] == "guest" and typed["fromUserId"] == ben.id
        assert (await guest.ask("keyExchange", publicKey="new"))["success"]
        assert (await host.event("keyExchange"))["publicKey"] == "new"
        assert (await host.ask("endSession"))["success"]
        assert (await guest.event("sessionEnded"))["reason"] == "host_ended"
        await asyncio.wait_for(guest.gone.wait(), PATIENCE)
    run(body)


def test_errors_are_the_words_of_the_contract(server, ana, ben):
    async def body():
        room = Room(server, ana)
        client = await Client(server).connect()
        assert (await client.ask("relay", encryptedData="x", nonce="y")) | {"type": "ack"} == {
            "type": "ack", "success": False, "error": "Not connected to a session"}
        assert (await client.ask("joinAsHost", token="nonsense", sessionId=room.id))["error"] == "Invalid token"
        assert (await client.ask("joinAsGuest", token=ben.token, code="SYCLX-NOPE00", guestPublicKey="k"))["error"] == "Code not found"
        assert (await client.ask("joinAsGuest", token=ben.token, code=5))["error"] == "code has the wrong type"
        assert (await client.ask("dance"))["error"] == "type is not known to this protocol"
        assert (await client.guest(room, ben, "read"))["permission"] == "read"
        assert (await client.ask("relay", encryptedData="x", nonce="y"))["error"] == "Read-only permission"
        await client.io.disconnect()
    run(body)


def test_native_peers_and_socketio_peers_share_a_room(server, ana, ben):
    async def body():
        room = Room(server, ana)
        host = await room.host()
        old, new = await Client(server).connect(), await room.guest(ben)
        assert (await old.guest(room, ben))["success"]
        slots = [(await host.event("guestJoined"))["slot"] for _ in range(2)]
        for slot in slots:
            await host.socket.send(Frame.write(3, slot, b"snap", slot=slot))
        await host.socket.send(Frame.write(1, 1, b"output"))
        assert (await new.frame(1))["payload"] == b"output"
        import base64
        seen = [await old.event("relayData") for _ in range(2)]
        assert [base64.b64decode(data["encryptedData"]) for data in seen] == [b"snap", b"output"]
        assert seen[1]["kind"] == 1 and seen[1]["sequence"] == 1
        # And the other way round: a Socket.IO host's broadcast reaches both.
        await host.leave()
        assert (await old.event("peerDisconnected"))["isHost"] is True
        returned = await Client(server).connect()
        assert (await returned.host(room, ana))["success"]
        assert [(await returned.event("guestJoined"))["username"] for _ in range(2)] == ["ben", "ben"]
        assert (await returned.ask("relay", encryptedData="dG8gYWxs", nonce="bg=="))["success"]
        assert (await old.event("relayData"))["encryptedData"] == "dG8gYWxs"
        assert (await new.event("relayData"))["encryptedData"] == "dG8gYWxs"
        await old.io.disconnect()
        assert (await returned.event("peerDisconnected"))["isHost"] is False
    run(body)


def test_engine_io_pings_keep_a_silent_client_in(server, ana):
    async def body():
        room = Room(server, ana)
        async with websockets.connect(socket_url(server), compression=None) as raw:
            opening = await raw.recv()
            assert opening.startswith('0{"sid":"') and '"pingInterval":10000' in opening and '"upgrades":[]' in opening
            await raw.send("40/relay,")
            assert (await raw.recv()).startswith('40/relay,{"sid":"')
            await raw.send(f'42/relay,7["joinAsHost",{{"token":"{ana.token}","sessionId":"{room.id}"}}]')
            assert (await raw.recv()).startswith("43/relay,7[{")
            assert await asyncio.wait_for(raw.recv(), PATIENCE) == "2"
            await raw.send("3")
            await raw.send("2probe")
            assert await raw.recv() == "3probe"
    run(body)


def socket_url(server):
    return server.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"


@pytest.mark.parametrize("packet,reason", [
    ("9", "not an Engine.IO 4 packet"), ("4", "an empty Socket.IO packet"), ("49", "not a Socket.IO 5 packet"),
    ('42/relay,["relay",{}]', "connect to the namespace /relay first"), ('451-/relay,["a"]', "send strings"),
    ("40/relay," + "1" * 16 + "[]", "too long"), ("2" + "x" * 126, "at most 125 bytes"), (b"\x04binary", "send strings"),
])
def test_nonsense_is_refused_with_a_reason(server, packet, reason):
    async def body():
        async with websockets.connect(socket_url(server), compression=None) as raw:
            await raw.recv()
            await raw.send(packet)
            with pytest.raises(websockets.ConnectionClosed) as end:
                while True:
                    await asyncio.wait_for(raw.recv(), PATIENCE)
            assert end.value.rcvd.code == 4400 and reason in end.value.rcvd.reason
    run(body)


def test_a_client_that_asks_and_does_not_read_is_put_out_and_fills_no_memory(server):
    async def body():
        before = server.rss()
        raw = await websockets.connect(socket_url(server), compression=None, max_queue=1)
        await raw.recv()
        raw.transport.pause_reading()
        with pytest.raises(websockets.ConnectionClosed):
            for _ in range(2_000_000):
                await raw.send("2" + "x" * 125)
        assert server.rss() < before + 30
    run(body)


def test_another_namespace_is_refused_and_the_connection_stays(server):
    async def body():
        async with websockets.connect(socket_url(server), compression=None) as raw:
            await raw.recv()
            await raw.send("40")
            assert await raw.recv() == '44{"message":"Invalid namespace"}'
            await raw.send("40/admin,")
            assert await raw.recv() == '44/admin,{"message":"Invalid namespace"}'
            await raw.send("40/relay,")
            assert (await raw.recv()).startswith("40/relay,")
    run(body)


def test_polling_is_answered_as_the_protocol_says(server):
    for method in ("GET", "POST"):
        status, body = server.call(method, "/socket.io/?EIO=4&transport=polling")
        assert (status, body) == (400, {"code": 0, "message": "Transport unknown"})


def test_clients_are_told_to_come_back_when_the_server_stops(server, ana):
    async def body():
        room = Room(server, ana)
        host = await Client(server).connect()
        await host.host(room, ana)
        stopping = asyncio.get_running_loop().run_in_executor(None, server.stop)
        assert (await host.event("goingAway"))["reconnectInMilliseconds"] > 0
        await asyncio.wait_for(host.gone.wait(), PATIENCE)
        await stopping
        server.start()
        again = await Client(server).connect()
        assert (await again.host(room, ana))["success"]
        await again.io.disconnect()
    run(body)
