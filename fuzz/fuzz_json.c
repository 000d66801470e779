/* fuzz_json: what the reader promises for any text: its slices lie within, objects and arrays close
 * as they opened, a string that is unescaped is UTF-8 and reads back after it was written, as does
 * a number. */
#include "base/check.h"
#include "base/utf8.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum json_token read_back(struct json *j, const struct fmt *f)
{
    BUG_ON(f->full);
    json_init(j, fmt_done(f));
    return json_next(j);
}

static void try_string(slice in, const struct json *j)
{
    BUG_ON(j->text.p <= in.p || j->text.p + j->text.n >= in.p + in.n);
    BUG_ON(j->has_escapes != (slice_find(j->text, '\\') >= 0));
    size_t room_n = MAX(j->text.n, (size_t)1), there_n = 6 * room_n + 2;
    char *room = malloc(room_n), *there = malloc(there_n), *back = malloc(there_n);
    BUG_ON(!room || !there || !back);
    slice text = json_unescape(j->text, room);
    BUG_ON(text.n > j->text.n || utf8_valid(text) != text.n);
    struct fmt f = fmt_on(there, there_n);
    BUG_ON(!json_put_string(text, JSON_UTF8_REFUSE, json_to_fmt, &f));
    struct json again;
    BUG_ON(read_back(&again, &f) != JSON_STRING);
    BUG_ON(!slice_is(json_unescape(again.text, back), text));
    free(room);
    free(there);
    free(back);
}

static void try_real(double value)
{
    char room[64];
    struct fmt f = fmt_on(room, sizeof room);
    struct json again;
    BUG_ON(!json_put_real(value, &f));
    enum json_token token = read_back(&again, &f);
    BUG_ON(token == JSON_REAL ? again.real != value : (double)again.integer != value);
}

/* Any bytes can be written when wrong ones are replaced. */
static void try_write(slice in)
{
    char *room = malloc(6 * in.n + 2);
    BUG_ON(!room);
    struct fmt f = fmt_on(room, 6 * in.n + 2);
    BUG_ON(!json_put_string(in, JSON_UTF8_REPLACE, json_to_fmt, &f));
    struct json again;
    BUG_ON(read_back(&again, &f) != JSON_STRING || json_next(&again) != JSON_DONE);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice in = slice_of(data, size);
    struct json j;
    enum json_token token;
    json_init(&j, in);
    unsigned depth = 0;
    size_t tokens = 0;
    while ((token = json_next(&j)) > JSON_DONE) {
        depth += token == JSON_OBJECT || token == JSON_ARRAY;
        depth -= token == JSON_OBJECT_END || token == JSON_ARRAY_END;
        BUG_ON(depth != j.depth || depth > JSON_DEPTH_MAX || ++tokens > size);
        if (token == JSON_KEY || token == JSON_STRING)
            try_string(in, &j);
        if (token == JSON_REAL)
            try_real(j.real);
    }
    unsigned line, column;
    json_where(&j, &line, &column);
    BUG_ON(line + column > size + 2);
    BUG_ON(token == JSON_ERROR ? !j.why : depth != 0);
    try_write(in);
    return 0;
}
