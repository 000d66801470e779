/* multipart: each body whole, byte by byte and cut at every offset; what is refused and why. */
#include "wire_test.h"

#include "base/rand.h"
#include "wire/field_param.h"
#include "wire/multipart.h"

#define TYPE  SLICE("multipart/form-data; boundary=b")
#define ROOM  200
#define PARTS 3

/* Events as text: "[name|filename|type]data$", "." at the end; "!sentence" for an error. */
static void put_event(struct fmt *f, const struct multipart *m, enum multipart_event event)
{
    switch (event) {
    case MULTIPART_ERROR:
        fmt_printf(f, "!%s", m->why);
        return;
    case MULTIPART_PART:
        fmt_printf(f, "[%.*s|%.*s|%.*s]", SLICE_ARGS(m->name),
                   SLICE_ARGS(m->filename.p ? m->filename : SLICE("-")),
                   SLICE_ARGS(m->content_type.p ? m->content_type : SLICE("-")));
        return;
    case MULTIPART_DATA:
        assert_true(m->data.n > 0);
        fmt_put(f, m->data);
        return;
    case MULTIPART_PART_END:
        fmt_char(f, '$');
        return;
    case MULTIPART_END:
        fmt_char(f, '.');
        return;
    case MULTIPART_MORE:
        fail();
    }
}

/* One piece; false after an error. */
static bool feed(struct multipart *m, slice piece, struct fmt *f)
{
    slice copy = exact_copy(piece), in = copy;
    enum multipart_event event;
    while ((event = multipart_next(m, &in)) > MULTIPART_MORE)
        put_event(f, m, event);
    if (event == MULTIPART_ERROR) {
        put_event(f, m, event);
        assert_int_equal(multipart_next(m, &in), MULTIPART_ERROR);
    } else {
        assert_int_equal(in.n, 0);
    }
    exact_free(copy);
    return event != MULTIPART_ERROR;
}

/* The body in pieces of [step] bytes, after a first one of [first]; "~" in the end: it is cut off.
 */
static slice read_body(slice type, slice body, size_t first, size_t step, char *out, size_t out_n)
{
    struct multipart m;
    const char *why = NULL;
    struct fmt f = fmt_on(out, out_n);
    char *room = malloc(ROOM);
    assert_non_null(room);
    assert_true(multipart_init(&m, type, room, ROOM, PARTS, &why));
    bool ok = feed(&m, slice_head(body, first), &f);
    body = slice_skip(body, first);
    for (; ok && body.n; body = slice_skip(body, step))
        ok = feed(&m, slice_head(body, step), &f);
    if (ok && !multipart_is_done(&m))
        fmt_char(&f, '~');
    free(room);
    assert_false(f.full);
    return fmt_done(&f);
}

static void check_cut(slice type, slice body, size_t first, size_t step, slice expected)
{
    char out[2000];
    slice got = read_body(type, body, first, step, out, sizeof out);
    if (!slice_is(got, expected)) {
        print_error("first piece %zu, then %zu of\n%.*s\n", first, step, SLICE_ARGS(body));
        assert_slice(got, expected);
    }
}

static void check_body(slice type, slice body, slice expected)
{
    check_cut(type, body, body.n, 1, expected);
    for (size_t step = 1; step <= 3; step++)
        check_cut(type, body, 0, step, expected);
    for (size_t first = 1; first < body.n; first++)
        check_cut(type, body, first, body.n, expected);
}

struct row {
    slice body, events;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_body(TYPE, rows[i].body, rows[i].events);
    }
}

#define PART(name) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FD         "Content-Disposition: form-data; "

static void test_multipart_good(void **state)
{
    static const struct row rows[] = {
        {SLICE("--b--"), SLICE(".")},
        {SLICE("--b--\r\n"), SLICE(".")},
        {SLICE("\r\n--b--\r\n"), SLICE(".")},
        {SLICE("\r\n\r\n\r\n--b--\r\n"), SLICE(".")},
        {SLICE("--b-- \t\r\nepilogue --b \r\n--b\r\n"), SLICE(".")},
        {SLICE(PART("a") "1\r\n--b--\r\n"), SLICE("[a|-|-]1$.")},
        {SLICE(PART("a") "\r\n--b--"), SLICE("[a|-|-]$.")},
        {SLICE("\r\n" PART("a") "1\r\n" PART("b") "2\r\n--b--"), SLICE("[a|-|-]1$[b|-|-]2$.")},
        {SLICE(PART("a") "1\r\n" PART("a") "\r\n" PART("") "3\r\n--b--"),
         SLICE("[a|-|-]1$[a|-|-]$[|-|-]3$.")},
        {SLICE("--b \t \r\n" FD "name=a\r\n\r\nx\r\n--b--"), SLICE("[a|-|-]x$.")},
        {SLICE("--b\r\n" FD "name=\"f\"; filename=\"x y.txt\"\r\nContent-Type: text/html; "
               "charset=utf-8 \r\n\r\n<p>\r\n--b--"),
         SLICE("[f|x y.txt|text/html; charset=utf-8]<p>$.")},
        {SLICE("--b\r\nX-Y: z\r\ncontent-type:a/b\r\nCONTENT-DISPOSITION:Form-Data;NAME=f;"
               "FileName=\"\"\r\nContent-Transfer-Encoding: binary\r\n\r\n\r\n--b--"),
         SLICE("[f||a/b]$.")},
        {SLICE("--b\r\n" FD "name=\"a\\\"b\"; filename=\"C:\\dir\\\\x\\\"\"\r\n\r\n\r\n--b--"),
         SLICE("[a\"b|C:\\dir\\x\"|-]$.")},
        {SLICE("--b\r\n" FD "name=\"a%22;b\"; filename*=UTF-8''x; filename=\"\xc3\xa9\"\r\n\r\n"
               "\r\n--b--"),
         SLICE("[a%22;b|\xc3\xa9|-]$.")},
        /* what is nearly a boundary */
        {SLICE(PART("a") "\r\r\n-\r\n--\r\n\r\n--a\r\n --b--b\r\n-\r\r\n--b--"),
         SLICE("[a|-|-]\r\r\n-\r\n--\r\n\r\n--a\r\n --b--b\r\n-\r$.")},
        {SLICE(PART("a") "--b\n--b--\r--b\r\n\r\n--b--"), SLICE("[a|-|-]--b\n--b--\r--b\r\n$.")},
        {SLICE(PART("a") "\0\xff\r\n\r\n--b--"), SLICE("[a|-|-]\0\xff\r\n$.")},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_multipart_cut_off(void **state)
{
    static const struct row rows[] = {
        {SLICE(""), SLICE("~")},
        {SLICE("--b"), SLICE("~")},
        {SLICE("--b-"), SLICE("~")},
        {SLICE("--b\r\n" FD "name=a\r\n"), SLICE("~")},
        {SLICE(PART("a") "1"), SLICE("[a|-|-]1~")},
        {SLICE(PART("a") "1\r\n--"), SLICE("[a|-|-]1~")},
        {SLICE(PART("a") "1\r\n--b\r\n"), SLICE("[a|-|-]1$~")},
    };
    check_rows(rows, COUNT_OF(rows));
}

#define NOT_FIRST "!the body does not begin with its boundary"
#define BEHIND    "!a boundary is followed by something else"
#define BAD_LINE  "!a header line of a part is malformed"
#define BAD_END   "!a header line of a part does not end with CR LF"
#define BAD_DISP  "!the disposition of a part is malformed"

static void test_multipart_bad(void **state)
{
    static const struct row rows[] = {
        {SLICE("x"), SLICE(NOT_FIRST)},
        {SLICE("preamble\r\n--b--"), SLICE(NOT_FIRST)},
        {SLICE("--c--"), SLICE(NOT_FIRST)},
        {SLICE(" --b--"), SLICE(NOT_FIRST)},
        {SLICE("\n--b--"), SLICE(NOT_FIRST)},
        {SLICE("\r--b--"), SLICE(NOT_FIRST)},
        {SLICE("\r\n\r--b--"), SLICE(NOT_FIRST)},
        {SLICE("--bc\r\n"), SLICE(BEHIND)},
        {SLICE("--b\n"), SLICE(BEHIND)},
        {SLICE("--b\r\r\n"), SLICE(BEHIND)},
        {SLICE("--b-x"), SLICE(BEHIND)},
        {SLICE("--b -"), SLICE(BEHIND)},
        {SLICE("--b--x"), SLICE("." BEHIND)},
        {SLICE("--b--\rx"), SLICE("." BEHIND)},
        {SLICE(PART("a") "1\r\n--bc\r\n--b--"), SLICE("[a|-|-]1$" BEHIND)},
        {SLICE("--b\r\n\r\n"), SLICE("!a part has no disposition")},
        {SLICE("--b\r\nContent-Type: a/b\r\n\r\n"), SLICE("!a part has no disposition")},
        {SLICE("--b\r\n" FD "\r\n\r\n"), SLICE("!a part has no name")},
        {SLICE("--b\r\nContent-Disposition: form-data\r\n\r\n"), SLICE("!a part has no name")},
        {SLICE("--b\r\n" FD "filename=x\r\n\r\n"), SLICE("!a part has no name")},
        {SLICE("--b\r\n" FD "name=a; name=b\r\n\r\n"), SLICE("!a part has two names")},
        {SLICE("--b\r\n" FD "name=a; filename=a; FILENAME=b\r\n\r\n"),
         SLICE("!a part has two names")},
        {SLICE("--b\r\n" FD "name=a\r\n" FD "name=b\r\n\r\n"),
         SLICE("!a part has two dispositions")},
        {SLICE("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n"),
         SLICE("!a part is not form-data")},
        {SLICE("--b\r\n" FD "name=\"a\r\n\r\n"), SLICE(BAD_DISP)},
        {SLICE("--b\r\n" FD "name\r\n\r\n"), SLICE(BAD_DISP)},
        {SLICE("--b\r\n" FD "name=\r\n\r\n"), SLICE(BAD_DISP)},
        {SLICE("--b\r\n" FD "name =a\r\n\r\n"), SLICE(BAD_DISP)},
        {SLICE("--b\r\n" FD "name=a b\r\n\r\n"), SLICE(BAD_DISP)},
        {SLICE("--b\r\n" FD "name=\"a\"b\r\n\r\n"), SLICE(BAD_DISP)},
        {SLICE("--b\r\nContent-Disposition: form-data, name=a\r\n\r\n"),
         SLICE("!a part is not form-data")},
        {SLICE("--b\r\nX\r\n\r\n"), SLICE(BAD_LINE)},
        {SLICE("--b\r\n: x\r\n\r\n"), SLICE(BAD_LINE)},
        {SLICE("--b\r\nX : x\r\n\r\n"), SLICE(BAD_LINE)},
        {SLICE("--b\r\n" FD "\r\n name=a\r\n\r\n"), SLICE("!a part has no name")},
        {SLICE("--b\r\n" FD "name=a\r\n folded\r\n\r\n"), SLICE(BAD_LINE)},
        {SLICE("--b\r\n" FD "name=a\n\n"), SLICE(BAD_END)},
        {SLICE("--b\r\n" FD "name=a\r\r\n"), SLICE(BAD_END)},
        {SLICE("--b\r\n\n"), SLICE(BAD_END)},
        {SLICE("--b\r\n" FD "name=\"a\0\"\r\n"),
         SLICE("!a header line of a part has a control character")},
        {SLICE("--b\r\n" FD "name=a\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n"),
         SLICE("!a part has two types")},
        {SLICE("--b\r\n" FD "name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
         SLICE("!a part has a transfer coding")},
        {SLICE(PART("a") "\r\n" PART("b") "\r\n" PART("c") "\r\n--b\r\n"),
         SLICE("[a|-|-]$[b|-|-]$[c|-|-]$!the body has too many parts")},
    };
    check_rows(rows, COUNT_OF(rows));
}

/* Exactly the room, and one byte more; the same for the blanks behind a boundary. */
static void test_multipart_limits(void **state)
{
    char body[400], blanks[80];
    for (size_t extra = 0; extra <= 1; extra++) {
        struct fmt f = fmt_on(body, sizeof body);
        fmt_str(&f, "--b\r\n" FD "name=a\r\nX: ");
        size_t used = sizeof FD "name=a\r\nX: " - 1;
        for (size_t i = used; i < ROOM - 4 + extra; i++)
            fmt_char(&f, 'x');
        fmt_str(&f, "\r\n\r\n\r\n--b--");
        check_body(TYPE, fmt_done(&f),
                   extra ? SLICE("!the header lines of a part are too long") : SLICE("[a|-|-]$."));
    }
    memset(blanks, ' ', sizeof blanks);
    for (size_t n = 64; n <= 65; n++) {
        struct fmt f = fmt_on(body, sizeof body);
        fmt_str(&f, "--b--");
        fmt_put(&f, slice_of(blanks, n));
        check_body(TYPE, fmt_done(&f), n == 64 ? SLICE(".") : SLICE("." BEHIND));
    }
}

static void test_multipart_types(void **state)
{
    static const struct {
        slice type;
        const char *why; /* NULL: taken */
    } rows[] = {
        {SLICE("multipart/form-data; boundary=b"), NULL},
        {SLICE("Multipart/Form-Data ;charset=utf-8; BOUNDARY=\"b\""), NULL},
        {SLICE("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW"), NULL},
        {SLICE("multipart/form-data; boundary=\"a b'()+_,-./:=?\""), NULL},
        {SLICE(""), "the body is not multipart/form-data"},
        {SLICE("multipart/mixed; boundary=b"), "the body is not multipart/form-data"},
        {SLICE("multipart/form-data"), "the body has no boundary"},
        {SLICE("multipart/form-data; x=b"), "the body has no boundary"},
        {SLICE("multipart/form-data; boundary"), "the type of the body is malformed"},
        {SLICE("multipart/form-data; boundary="), "the type of the body is malformed"},
        {SLICE("multipart/form-data; boundary=a b"), "the type of the body is malformed"},
        {SLICE("multipart/form-data; boundary=\"b"), "the type of the body is malformed"},
        {SLICE("multipart/form-data; boundary=a; boundary=b"), "the body has two boundaries"},
        {SLICE("multipart/form-data; boundary=\"\""), "the boundary of the body is malformed"},
        {SLICE("multipart/form-data; boundary=\"b \""), "the boundary of the body is malformed"},
        {SLICE("multipart/form-data; boundary=\"\\\"\""), "the boundary of the body is malformed"},
        {SLICE("multipart/form-data; boundary=a*"), "the boundary of the body is malformed"},
    };
    struct multipart m;
    char room[100], long_type[200];
    const char *why;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        slice type = exact_copy(rows[i].type);
        why = NULL;
        bool ok = multipart_init(&m, type, room, sizeof room, 1, &why);
        if (ok != !rows[i].why || (!ok && strcmp(why, rows[i].why) != 0))
            ROW_FAILED(i, type);
        exact_free(type);
    }
    for (size_t n = MULTIPART_BOUNDARY_MAX; n <= MULTIPART_BOUNDARY_MAX + 1; n++) {
        struct fmt f = fmt_on(long_type, sizeof long_type);
        fmt_str(&f, "multipart/form-data; boundary=");
        for (size_t i = 0; i < n; i++)
            fmt_char(&f, '-');
        bool ok = multipart_init(&m, fmt_done(&f), room, sizeof room, 1, &why);
        assert_int_equal(ok, n == MULTIPART_BOUNDARY_MAX);
    }
    /* A boundary that repeats itself. */
    check_body(SLICE("multipart/form-data; boundary=-----"),
               SLICE("-------\r\n" FD "name=a\r\n\r\n\r\n------\r\n-------\r--\r\n---------"),
               SLICE("[a|-|-]\r\n------$!a boundary is followed by something else"));
    check_body(SLICE("multipart/form-data; boundary=-----"),
               SLICE("-------\r\n" FD "name=a\r\n\r\n\r\n------\r\n------\r\n---------"),
               SLICE("[a|-|-]\r\n------\r\n------$."));
}

/* Random data of few bytes in random pieces: nothing is lost, nothing is added. */
static void test_multipart_random(void **state)
{
    static const char *const words[] = {"\r",    "\n",     "-", "b",  "\r\n",
                                        "\r\n-", "\r\n--", "x", "--b"};
    struct prng g = {3};
    for (int round = 0; round < 20000; round++) {
        char body[400], out[400], data[200], room[ROOM];
        struct fmt d = fmt_on(data, sizeof data), b = fmt_on(body, sizeof body);
        for (uint64_t n = prng_below(&g, 30); n; n--)
            fmt_str(&d, words[prng_below(&g, COUNT_OF(words))]);
        slice text = fmt_done(&d);
        fmt_str(&b, PART("a"));
        size_t head_n = fmt_done(&b).n;
        fmt_put(&b, text);
        fmt_str(&b, "\r\n--b--");
        /* The first boundary ends the data, wherever it comes from. */
        slice tail = slice_skip(fmt_done(&b), head_n);
        const char *end = memmem(tail.p, tail.n, "\r\n--b", 5);
        assert_non_null(end);
        text = slice_of(tail.p, (size_t)(end - tail.p));
        struct multipart m;
        const char *why;
        assert_true(multipart_init(&m, TYPE, room, sizeof room, 1, &why));
        struct fmt f = fmt_on(out, sizeof out);
        slice rest = slice_head(fmt_done(&b), head_n + text.n + 5);
        while (rest.n) {
            size_t n = 1 + prng_below(&g, 12);
            assert_true(feed(&m, slice_head(rest, n), &f));
            rest = slice_skip(rest, n);
        }
        slice got = fmt_done(&f);
        assert_slice(slice_head(got, 7), SLICE("[a|-|-]"));
        assert_slice(slice_skip(slice_head(got, got.n - 1), 7), text);
        assert_int_equal(got.p[got.n - 1], '$');
    }
}

static void test_field_param(void **state)
{
    slice rest;
    struct field_param p;
    assert_slice(field_value_of(SLICE(" a/b ; x=1;;\t; y=\"2;\\\"3\" "), &rest), SLICE("a/b"));
    assert_int_equal(field_param_next(&rest, &p), 1);
    assert_slice(p.name, SLICE("x"));
    assert_slice(p.value, SLICE("1"));
    assert_int_equal(field_param_next(&rest, &p), 1);
    assert_slice(p.name, SLICE("y"));
    assert_slice(p.value, SLICE("2;\\\"3"));
    char room[16];
    assert_slice(field_param_unquote(p.value, room), SLICE("2;\"3"));
    assert_slice(field_param_unquote(SLICE("\\a\\\\\\"), room), SLICE("\\a\\\\"));
    assert_int_equal(field_param_next(&rest, &p), 0);
    assert_int_equal(field_param_next(&rest, &p), 0);
    field_value_of(SLICE("a; x=\"\"; \"y\"=1"), &rest);
    assert_int_equal(field_param_next(&rest, &p), 1);
    assert_int_equal(p.value.n, 0);
    assert_true(field_param_next(&rest, &p) < 0);
    assert_true(field_param_next(&rest, &p) < 0);
    assert_slice(field_value_of(SLICE("a"), &rest), SLICE("a"));
    assert_int_equal(field_param_next(&rest, &p), 0);
    field_value_of(SLICE("a;;"), &rest);
    assert_int_equal(field_param_next(&rest, &p), 0);
    field_value_of(SLICE("a; x=\"\t\x01\""), &rest);
    assert_true(field_param_next(&rest, &p) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multipart_good),  cmocka_unit_test(test_multipart_cut_off),
        cmocka_unit_test(test_multipart_bad),   cmocka_unit_test(test_multipart_limits),
        cmocka_unit_test(test_multipart_types), cmocka_unit_test(test_multipart_random),
        cmocka_unit_test(test_field_param),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
