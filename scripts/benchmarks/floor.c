// What the kernel alone takes: the least a relay on epoll can do. No rooms, no sequence, no bounds, no permission, no TLS; it
// trusts its peers and keeps nothing. What comes on /pub/NAME in one read goes, unmasked, to everybody on /sub/NAME in one
// write. A relay cannot be cheaper than this without another way into the kernel.
#include "floor.h"

#include <signal.h>
#include <sys/epoll.h>

static unsigned char out[BUFFER + 64];

static void publish(int fd) {
    size_t written = unmasked(fd, out);
    if (written) for (int i = 0; i < subscriberCount; i++)
        if (hears(subscribers[i], fd)) writeAll(subscribers[i], out, written);
}

int main(void) {
    // A generator that is killed in the middle of a load takes nobody with it.
    signal(SIGPIPE, SIG_IGN);
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
