/* http1_chunk: the chunked transfer coding, RFC 9112 7.1, incrementally.
 *
 * The caller feeds what it has; the reader hands back the next run of body bytes without a copy. */
#ifndef WIRE_HTTP1_CHUNK_H
#define WIRE_HTTP1_CHUNK_H

#include "wire/http_field.h"

/* Chunk extensions and the trailer section are bounded, in sum over the whole body. */
#define HTTP1_CHUNK_OVERHEAD_MAX (16 * KIB)

struct http1_chunk {
    /* read-only */
    uint64_t left;     /* of the current chunk's data */
    uint32_t overhead; /* bytes of extensions and trailers so far */
    bool is_done;      /* the last chunk and the trailer section have been read */
    /* private */
    uint8_t state;
    uint8_t digits; /* of the chunk size so far */
    uint8_t name_n; /* of the trailer field's name so far */
    char name[18];  /* longer ones are cut: all that are forbidden are shorter */
};

void http1_chunk_init(struct http1_chunk *c);

/* Looks at [in] and hands out in *data_out the body bytes in what it used (a part of [in], perhaps
 * empty). Call again while it returns > 0 and !is_done.
 * - > 0: so many bytes were used; the caller drops them;
 * - 0: needs more input. It uses all that it understands, so there is never a rest to keep;
 * - < 0: malformed, and so for ever: -400, or -431 when extensions and trailers are too long.
 *
 * Trailer fields are checked and dropped; those that frame or route a message (Content-Length,
 * Transfer-Encoding, Host) are malformed. */
MUST_USE ssize_t http1_chunk_read(struct http1_chunk *c, slice in, slice *data_out);

/* What is still to come of the current chunk's data; 0 until its whole size line has been read (it
 * may be malformed yet), and between chunks. */
static inline uint64_t http1_chunk_announced(const struct http1_chunk *c)
{
    return c->digits ? 0 : c->left;
}

#endif
