/* fuzz_http1_chunk: chunked bodies, whole and byte by byte: both must find the same data and the
 * same end. */
#include "base/check.h"
#include "base/fmt.h"
#include "wire/http1_chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct body {
    struct http1_chunk chunk;
    ssize_t result;
    size_t used;
    struct fmt text;
};

/* Reads what there is, in pieces of at most [step] bytes. */
static void read_body(struct body *b, slice in, size_t step)
{
    http1_chunk_init(&b->chunk);
    do {
        slice piece = slice_head(slice_skip(in, b->used), step), data;
        b->result = http1_chunk_read(&b->chunk, piece, &data);
        BUG_ON(b->result > (ssize_t)piece.n);
        if (b->result <= 0)
            return;
        BUG_ON(data.n && (data.p < piece.p || data.p + data.n > piece.p + b->result));
        b->used += (size_t)b->result;
        fmt_put(&b->text, data);
        BUG_ON(b->chunk.overhead > HTTP1_CHUNK_OVERHEAD_MAX);
    } while (!b->chunk.is_done);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice in = slice_of(data, size), text_whole, text_slow;
    char *rooms = malloc(2 * size + 1);
    BUG_ON(!rooms);
    struct body whole = {.text = fmt_on(rooms, size)}, slow = {.text = fmt_on(rooms + size, size)};
    read_body(&whole, in, SIZE_MAX);
    read_body(&slow, in, 1);
    text_whole = fmt_done(&whole.text);
    text_slow = fmt_done(&slow.text);
    BUG_ON(whole.text.full || slow.text.full || !slice_is(text_whole, text_slow));
    BUG_ON(whole.chunk.is_done != slow.chunk.is_done);
    BUG_ON((whole.result < 0 || slow.result < 0) && whole.result != slow.result);
    /* There is never a rest that was not understood. */
    BUG_ON(whole.result >= 0 &&
           (whole.used != slow.used || (!whole.chunk.is_done && whole.used != size)));
    free(rooms);
    return 0;
}
