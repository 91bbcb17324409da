// What both floors do: peers, their upgrade to WebSocket, and the frames of a read, unmasked.
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { PEERS = 4096, BUFFER = 1 << 20 };
static struct { char state, name[64]; size_t kept; unsigned char *bytes; } peers[PEERS];
static int subscribers[PEERS], subscriberCount;

static void writeAll(int fd, const void *bytes, size_t count) {
    for (size_t done = 0; done < count;) {
        ssize_t n = write(fd, (const char *)bytes + done, count - done);
        if (n > 0) done += n; else if (errno != EINTR) return;
    }
}

static int upgrade(int fd) {
    char *text = (char *)peers[fd].bytes, *key, *end = strstr(text, "\r\n\r\n");
    if (!end || !(key = strcasestr(text, "Sec-WebSocket-Key: "))) return 0;
    char joined[128], answer[64], head[256];
    unsigned char digest[20];
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
    SHA1((unsigned char *)joined, strlen(joined), digest);
    EVP_EncodeBlock((unsigned char *)answer, digest, 20);
    peers[fd].state = text[5] == 'p' ? 'p' : 's';
    sscanf(text + 9, "%63[^ ]", peers[fd].name);
    if (peers[fd].state == 's') subscribers[subscriberCount++] = fd;
    writeAll(fd, head, snprintf(head, sizeof head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", answer));
    peers[fd].kept = 0;
    return 1;
}

// Frames what a publisher's read has brought, whole messages only, as a server sends it. Returns its length.
static size_t unmasked(int fd, unsigned char *out) {
    unsigned char *in = peers[fd].bytes;
    size_t at = 0, written = 0, have = peers[fd].kept;
    for (;;) {
        if (have - at < 6) break;
        size_t length = in[at + 1] & 127, head = 2;
        if (length == 126) { if (have - at < 8) break; length = in[at + 2] << 8 | in[at + 3]; head = 4; }
        if (have - at < head + 4 + length) break;
        memcpy(out + written, in + at, head);
        out[written + 1] &= 127;
        unsigned char *mask = in + at + head, *from = mask + 4, *to = out + written + head;
        uint64_t wide; uint32_t narrow;
        memcpy(&narrow, mask, 4);
        wide = (uint64_t)narrow << 32 | narrow;
        size_t i = 0;
        for (; i + 8 <= length; i += 8) { uint64_t w; memcpy(&w, from + i, 8); w ^= wide; memcpy(to + i, &w, 8); }
        for (; i < length; i++) to[i] = from[i] ^ mask[i & 3];
        written += head + length;
        at += head + 4 + length;
    }
    memmove(in, in + at, have - at);
    peers[fd].kept = have - at;
    return written;
}

static int hears(int subscriber, int publisher) { return !strcmp(peers[subscriber].name, peers[publisher].name); }

static void gone(int fd) {
    for (int i = 0; i < subscriberCount; i++) if (subscribers[i] == fd) subscribers[i--] = subscribers[--subscriberCount];
    peers[fd].state = 0;
    close(fd);
}
