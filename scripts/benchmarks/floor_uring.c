/* As floor.c, but by io_uring: all writes of a batch and the next read enter the kernel together. A connection that ends while it
 * is written to is not handled: the generator does not do that. */
#include "floor.h"

#include <liburing.h>

enum { OUTS = 256 };
static struct { unsigned char *bytes; int users; } outs[OUTS];
static int nextOut;
static struct io_uring ring;
static uint64_t tag(int kind, int a, int b) { return (uint64_t)kind << 56 | (uint64_t)a << 24 | b; }
static struct io_uring_sqe *sqe(void) {
    struct io_uring_sqe *s = io_uring_get_sqe(&ring);
    if (!s) { io_uring_submit(&ring); s = io_uring_get_sqe(&ring); }
    return s;
}
static void receive(int fd) {
    struct io_uring_sqe *s = sqe();
    io_uring_prep_recv(s, fd, peers[fd].bytes + peers[fd].kept, BUFFER - 1 - peers[fd].kept, 0);
    io_uring_sqe_set_data64(s, tag(1, fd, 0));
}

static void publish(int fd) {
    int o = nextOut++ % OUTS;
    for (int tries = 0; outs[o].users; o = nextOut++ % OUTS) if (++tries == OUTS) abort();
    if (!outs[o].bytes) outs[o].bytes = malloc(BUFFER + 64);
    size_t written = unmasked(fd, outs[o].bytes);
    if (written) for (int i = 0; i < subscriberCount; i++)
        if (hears(subscribers[i], fd)) {
            struct io_uring_sqe *s = sqe();
            io_uring_prep_send(s, subscribers[i], outs[o].bytes, written, MSG_WAITALL);
            io_uring_sqe_set_data64(s, tag(2, o, written));
            outs[o].users++;
        }
}

int main(void) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN };
    int refused = io_uring_queue_init_params(1024, &ring, &params);
    if (refused) {
        memset(&params, 0, sizeof params);
        refused = io_uring_queue_init_params(1024, &ring, &params);
    }
    if (refused) {
        fprintf(stderr, "io_uring: %s\n", strerror(-refused));
        return 2;
    }
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct io_uring_sqe *s = sqe();
    io_uring_prep_accept(s, listener, 0, 0, 0);
    io_uring_sqe_set_data64(s, tag(3, 0, 0));
    for (;;) {
        struct io_uring_cqe *cqe;
        io_uring_submit_and_wait(&ring, 1);
        unsigned h, n = 0;
        io_uring_for_each_cqe(&ring, h, cqe) {
            n++;
            uint64_t t = io_uring_cqe_get_data64(cqe);
            int kind = t >> 56, a = t >> 24 & 0xffffffff, r = cqe->res;
            if (kind == 2) {
                outs[a].users--;
                // What follows a short write would go into the middle of it.
                if (r >= 0 && r != (int)(t & 0xffffff)) abort();
                continue;
            }
            if (kind == 3) {
                if (r >= 0 && r < PEERS) {
                    setsockopt(r, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    if (!peers[r].bytes) peers[r].bytes = malloc(BUFFER);
                    peers[r].state = 'n'; peers[r].kept = 0; receive(r);
                }
                s = sqe(); io_uring_prep_accept(s, listener, 0, 0, 0); io_uring_sqe_set_data64(s, tag(3, 0, 0));
                continue;
            }
            if (r <= 0) { gone(a); continue; }
            peers[a].kept += r;
            if (peers[a].state == 'n') { peers[a].bytes[peers[a].kept] = 0; upgrade(a); }
            else if (peers[a].state == 'p') publish(a);
            else peers[a].kept = 0;
            receive(a);
        }
        io_uring_cq_advance(&ring, n);
    }
}
