"""A TCP proxy that writes down everything that crosses it, in both directions.

WebSocket masking (RFC 6455, section 5.3) is undone in the record: it is no encryption, and a search that it defeats would
prove nothing. Usage: tap.py HOST PORT RECORD — prints its own port, then runs until it is killed. RECORD gets one line of
JSON per piece: connection, direction, opcode (null for HTTP) and the bytes in hexadecimal.
"""

import asyncio
import json
import sys


class Stream:
    """One direction of one connection: HTTP until the blank line of an upgrade, then WebSocket frames."""

    def __init__(self, note):
        self.note, self.buffer, self.upgraded = note, bytearray(), False

    def feed(self, data):
        if not self.upgraded:
            self.note(None, data)
            self.buffer += data
            head, blank, rest = bytes(self.buffer).partition(b"\r\n\r\n")
            if blank and b"upgrade: websocket" in head.lower():
                self.upgraded, self.buffer = True, bytearray(rest)
                self.frames()
            elif blank:
                self.buffer.clear()
            return
        self.buffer += data
        self.frames()

    def frames(self):
        while (frame := self.next_frame()) is not None:
            self.note(*frame)

    def next_frame(self):
        data = self.buffer
        if len(data) < 2:
            return None
        masked, length, offset = data[1] & 0x80, data[1] & 0x7F, 2
        if length > 125:
            size = 2 if length == 126 else 8
            if len(data) < 2 + size:
                return None
            length, offset = int.from_bytes(data[2:2 + size], "big"), 2 + size
        key = bytes(data[offset:offset + 4]) if masked else bytes(4)
        offset += 4 if masked else 0
        if len(data) < offset + length:
            return None
        payload = bytes(byte ^ key[index & 3] for index, byte in enumerate(data[offset:offset + length]))
        opcode = data[0] & 15
        del data[:offset + length]
        return opcode, payload


async def main(host, port, record):
    count = 0
    with open(record, "w", buffering=1) as file:
        async def accept(reader, writer):
            nonlocal count
            count += 1
            number = count
            try:
                far_reader, far_writer = await asyncio.open_connection(host, port)
            except OSError:
                return writer.close()

            async def copy(source, sink, direction):
                stream = Stream(lambda opcode, data: file.write(json.dumps(
                    {"connection": number, "direction": direction, "opcode": opcode, "hex": data.hex()}) + "\n"))
                try:
                    while data := await source.read(65536):
                        stream.feed(data)
                        sink.write(data)
                        await sink.drain()
                except OSError:
                    pass  # The other side is gone; closing ours below says the same.
                sink.close()
            await asyncio.gather(copy(reader, far_writer, "to the relay"), copy(far_reader, writer, "from the relay"))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
