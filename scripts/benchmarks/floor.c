// What the kernel alone takes: the least a relay on epoll can do. No rooms, no sequence, no bounds, no permission, no TLS; it
// trusts its peers and keeps nothing. What comes on /pub/NAME in one read goes, unmasked, to everybody on /sub/NAME in one
// write. A relay cannot be cheaper than this without another way into the kernel.
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { PEERS = 4096, BUFFER = 1 << 20 };
static struct { char state, name[64]; size_t kept; unsigned char *bytes; } peers[PEERS];
static int subscribers[PEERS], subscriberCount;
static unsigned char out[BUFFER + 64];

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

static void publish(int fd) {
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
    if (written) for (int i = 0; i < subscriberCount; i++)
        if (!strcmp(peers[subscribers[i]].name, peers[fd].name)) writeAll(subscribers[i], out, written);
    memmove(in, in + at, have - at);
    peers[fd].kept = have - at;
}

static void gone(int fd) {
    for (int i = 0; i < subscriberCount; i++) if (subscribers[i] == fd) subscribers[i--] = subscribers[--subscriberCount];
    peers[fd].state = 0;
    close(fd);
}

int main(void) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), one = 1;
    struct epoll_event event = { .events = EPOLLIN, .data.fd = listener }, events[256];
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) for (int i = 0, n = epoll_wait(poll, events, 256, -1); i < n; i++) {
        int fd = events[i].data.fd;
        if (fd == listener) {
            fd = accept(listener, 0, 0);
            if (fd < 0 || fd >= PEERS) { if (fd >= 0) close(fd); continue; }
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            if (!peers[fd].bytes) peers[fd].bytes = malloc(BUFFER);
            peers[fd].state = 'n';
            peers[fd].kept = 0;
            event.data.fd = fd;
            epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            continue;
        }
        ssize_t count = read(fd, peers[fd].bytes + peers[fd].kept, BUFFER - 1 - peers[fd].kept);
        if (count <= 0) { gone(fd); continue; }
        peers[fd].kept += count;
        if (peers[fd].state == 'n') { peers[fd].bytes[peers[fd].kept] = 0; upgrade(fd); }
        else if (peers[fd].state == 'p') publish(fd);
        else peers[fd].kept = 0;
    }
}
