#include <zlib.h>

// deflateInit2 is a macro, which Swift does not see: the gzip format (RFC 1952), 32 KiB of window.
static inline int postern_gzip_begin(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

// The same for inflateInit2.
static inline int postern_gunzip_begin(z_stream *stream) {
    return inflateInit2(stream, 15 + 16);
}
