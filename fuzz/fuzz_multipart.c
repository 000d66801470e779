/* fuzz_multipart: a body whole and in pieces gives the same events; data lies in the input or in
 * the delimiter; parts begin and end in turn; names lie in the room.
 *
 * Input: a byte that says how the body is cut, a line with the type of the body, the body. */
#include "base/check.h"
#include "base/fmt.h"
#include "wire/multipart.h"

#define ROOM  300
#define PARTS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct multipart m;
    char room[ROOM];
    char *text; /* events in a form that does not depend on the cut */
    size_t text_n;
    bool in_part, has_ended;
};

static void put(struct run *r, slice s)
{
    if (s.n)
        memcpy(r->text + r->text_n, s.p, s.n);
    r->text_n += s.n;
}

static void check_in_room(const struct run *r, slice s)
{
    BUG_ON(s.p && (s.p < r->room || s.p + s.n > r->room + ROOM));
}

static void note(struct run *r, enum multipart_event event)
{
    BUG_ON(r->has_ended || r->in_part != (event == MULTIPART_DATA || event == MULTIPART_PART_END));
    if (event == MULTIPART_DATA) {
        BUG_ON(!r->m.data.n);
        put(r, r->m.data);
        return;
    }
    put(r, slice_of(&(char){(char)('0' + event)}, 1));
    r->in_part = event == MULTIPART_PART;
    r->has_ended = event == MULTIPART_END;
    if (event != MULTIPART_PART)
        return;
    BUG_ON(!r->m.name.p || r->m.parts > PARTS);
    check_in_room(r, r->m.name);
    check_in_room(r, r->m.filename);
    check_in_room(r, r->m.content_type);
    put(r, r->m.name);
    put(r, r->m.filename);
    put(r, r->m.content_type);
}

/* In pieces of [step] bytes, each a block of its own size. */
static void run(struct run *r, slice type, slice body, size_t step)
{
    const char *why;
    BUG_ON(!multipart_init(&r->m, type, r->room, ROOM, PARTS, &why));
    enum multipart_event event = MULTIPART_MORE;
    for (; body.n && event != MULTIPART_ERROR; body = slice_skip(body, step)) {
        slice piece = slice_head(body, step);
        char *copy = malloc(piece.n);
        BUG_ON(!copy);
        memcpy(copy, piece.p, piece.n);
        slice in = slice_of(copy, piece.n);
        while ((event = multipart_next(&r->m, &in)) > MULTIPART_MORE)
            note(r, event);
        BUG_ON(event == MULTIPART_MORE && in.n);
        free(copy);
    }
    BUG_ON(event == MULTIPART_ERROR ? !r->m.why : multipart_is_done(&r->m) != r->has_ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    slice body = slice_of(data + 1, size - 1), type;
    struct multipart m;
    const char *why;
    char room[1];
    slice_cut(&body, '\n', &type);
    if (!body.p || !multipart_init(&m, type, room, 1, 1, &why))
        return 0;
    struct run whole = {.text = malloc(2 * size + 100)}, cut = {.text = malloc(2 * size + 100)};
    BUG_ON(!whole.text || !cut.text);
    run(&whole, type, body, body.n ? body.n : 1);
    run(&cut, type, body, 1 + data[0] % 64);
    BUG_ON(whole.m.why != cut.m.why || whole.m.parts != cut.m.parts);
    BUG_ON(!slice_is(slice_of(whole.text, whole.text_n), slice_of(cut.text, cut.text_n)));
    free(whole.text);
    free(cut.text);
    return 0;
}
