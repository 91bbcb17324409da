/* uWebSockets as a relay, for `make bench`: /pub/NAME publishes, /sub/NAME subscribes, its own topics in between. Linked with the
 * C interface of the build that the package socketify on PyPI carries, whose declarations these are. Prints its port.
 * With a certificate and a key as arguments it speaks TLS. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void App, Socket, Response, Request, Context;
typedef struct {
    const char *key, *certificate, *passphrase, *dhParameters, *authorities, *ciphers;
    int lowMemory;
} Options;
typedef struct {
    int port;
    const char *host;
    int options;
} Listening;
typedef struct {
    int compression;
    unsigned maxPayloadLength;
    unsigned short idleTimeout;
    unsigned maxBackpressure;
    bool closeOnBackpressureLimit, resetIdleTimeoutOnSend, sendPingsAutomatically;
    unsigned short maxLifetime;
    void (*upgrade)(Response *, Request *, Context *, void *);
    void (*open)(Socket *, void *);
    void (*message)(Socket *, const char *, size_t, int, void *);
    void *drain, *ping, *pong;
    void (*close)(Socket *, int, const char *, size_t, void *);
    void *subscription;
} Behavior;

void *uws_get_loop_with_native(void *);
App *uws_create_app(int, Options);
void uws_app_listen_with_config(int, App *, Listening, void (*)(void *, Listening, void *), void *);
void uws_app_run(int, App *);
void uws_ws(int, App *, const char *, Behavior, void *);
void *uws_ws_get_user_data(int, Socket *);
bool uws_ws_subscribe(int, Socket *, const char *, size_t);
bool uws_publish(int, App *, const char *, size_t, const char *, size_t, int, bool);
size_t uws_req_get_url(Request *, const char **);
size_t uws_req_get_header(Request *, const char *, size_t, const char **);
void uws_res_upgrade(int, Response *, void *, const char *, size_t, const char *, size_t, const char *, size_t, Context *);
int us_socket_local_port(int, void *);
void *uv_default_loop(void);

typedef struct {
    bool publishes;
    size_t length;
    char name[64];
} Peer;

static int tls;
static App *app;

static void upgrade(Response *response, Request *request, Context *context, void *unused) {
    const char *path, *key, *protocol, *extensions;
    size_t length = uws_req_get_url(request, &path);
    size_t keyLength = uws_req_get_header(request, "sec-websocket-key", 17, &key);
    size_t protocolLength = uws_req_get_header(request, "sec-websocket-protocol", 22, &protocol);
    size_t extensionsLength = uws_req_get_header(request, "sec-websocket-extensions", 24, &extensions);
    Peer *peer = calloc(1, sizeof *peer);
    if (!peer || length < 6 || length - 5 > sizeof peer->name) abort();
    peer->publishes = path[1] == 'p';
    peer->length = length - 5;
    memcpy(peer->name, path + 5, peer->length);
    uws_res_upgrade(tls, response, peer, key, keyLength, protocol, protocolLength, extensions, extensionsLength, context);
}

static void opened(Socket *socket, void *unused) {
    Peer *peer = uws_ws_get_user_data(tls, socket);
    if (!peer->publishes) uws_ws_subscribe(tls, socket, peer->name, peer->length);
}

static void received(Socket *socket, const char *bytes, size_t count, int opcode, void *unused) {
    Peer *peer = uws_ws_get_user_data(tls, socket);
    if (peer->publishes) uws_publish(tls, app, peer->name, peer->length, bytes, count, opcode, false);
}

static void closed(Socket *socket, int code, const char *reason, size_t length, void *unused) {
    free(uws_ws_get_user_data(tls, socket));
}

static void listening(void *socket, Listening on, void *unused) {
    if (!socket) exit(1);
    printf("%d\n", us_socket_local_port(tls, socket));
    fflush(stdout);
}

int main(int count, char **arguments) {
    Options options = {0};
    if (count == 3) {
        tls = 1;
        options.certificate = arguments[1];
        options.key = arguments[2];
    }
    uws_get_loop_with_native(uv_default_loop());
    app = uws_create_app(tls, options);
    uws_ws(tls, app, "/*", (Behavior){ .maxPayloadLength = 1 << 20, .maxBackpressure = 64 << 20, .upgrade = upgrade,
        .open = opened, .message = received, .close = closed }, NULL);
    uws_app_listen_with_config(tls, app, (Listening){ .host = "127.0.0.1" }, listening, NULL);
    uws_app_run(tls, app);
}
