/* mime: the built-in table, the text laid over it, and where its memory goes. */
#include "wire_test.h"

#include "wire/mime.h"

struct world {
    struct mem_book book;
    struct mem_owner owner;
    struct mime_table *table;
};

static int setup(void **state)
{
    static struct world w;
    mem_book_init(&w.book, 0);
    mem_owner_init(&w.owner, &w.book, "mime");
    w.table = mime_new(&w.owner);
    *state = &w;
    return w.table ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    mime_free(&w->table);
    assert_null(w->table);
    mem_owner_fini(&w->owner);
    mem_book_fini(&w->book);
    return 0;
}

struct row {
    slice name, type;
};

static void check_rows(const struct mime_table *t, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        slice name = exact_copy(rows[i].name);
        if (!slice_is(mime_of(t, name), rows[i].type)) {
            print_error("got %.*s\n", SLICE_ARGS(mime_of(t, name)));
            ROW_FAILED(i, rows[i].name);
        }
        exact_free(name);
    }
}

#define OCTETS SLICE("application/octet-stream")
#define PLAIN  SLICE("text/plain; charset=utf-8")

static void test_mime_built_in(void **state)
{
    static const struct row rows[] = {
        {SLICE("index.html"), SLICE("text/html; charset=utf-8")},
        {SLICE("INDEX.HTM"), SLICE("text/html; charset=utf-8")},
        {SLICE("a/b.c/style.css"), SLICE("text/css; charset=utf-8")},
        {SLICE("app.js"), SLICE("text/javascript; charset=utf-8")},
        {SLICE("app.mjs"), SLICE("text/javascript; charset=utf-8")},
        {SLICE("a.json"), SLICE("application/json")},
        {SLICE("a.svg"), SLICE("image/svg+xml")},
        {SLICE("a.woff2"), SLICE("font/woff2")},
        {SLICE("a.wasm"), SLICE("application/wasm")},
        {SLICE("a.webp"), SLICE("image/webp")},
        {SLICE("a.avif"), SLICE("image/avif")},
        {SLICE("a.webm"), SLICE("video/webm")},
        {SLICE("a.mp4"), SLICE("video/mp4")},
        {SLICE("a.mp3"), SLICE("audio/mpeg")},
        {SLICE("a.pdf"), SLICE("application/pdf")},
        {SLICE("a.txt"), PLAIN},
        {SLICE("a.md"), SLICE("text/markdown; charset=utf-8")},
        {SLICE("a.xml"), SLICE("application/xml")},
        {SLICE("a.ico"), SLICE("image/vnd.microsoft.icon")},
        {SLICE("a.png"), SLICE("image/png")},
        {SLICE("a.jpg"), SLICE("image/jpeg")},
        {SLICE("a.JPEG"), SLICE("image/jpeg")},
        {SLICE("a.gif"), SLICE("image/gif")},
        {SLICE("a.tar.gz"), SLICE("application/gzip")},
        {SLICE("a.zip"), SLICE("application/zip")},
        {SLICE("a.webmanifest"), SLICE("application/manifest+json")},
    };
    check_rows(((struct world *)*state)->table, rows, COUNT_OF(rows));
}

static void test_mime_without_a_known_extension(void **state)
{
    static const struct row rows[] = {
        {SLICE(""), OCTETS},         {SLICE("file"), OCTETS},
        {SLICE("file."), OCTETS},    {SLICE("."), OCTETS},
        {SLICE(".."), OCTETS},       {SLICE(".html"), OCTETS},
        {SLICE("a/.html"), OCTETS},  {SLICE("a.html/file"), OCTETS},
        {SLICE("a.html~"), OCTETS},  {SLICE("a.nosuchextension"), OCTETS},
        {SLICE("a.html\0"), OCTETS}, {SLICE("a.htmlhtmlhtmlhtmlhtmlhtmlhtmlhtmlhtmlhtml"), OCTETS},
        {SLICE("README"), PLAIN},    {SLICE("readme"), PLAIN},
        {SLICE("a/LICENSE"), PLAIN}, {SLICE("Makefile"), PLAIN},
        {SLICE("README/x"), OCTETS},
    };
    check_rows(((struct world *)*state)->table, rows, COUNT_OF(rows));
}

static void test_mime_load(void **state)
{
    struct world *w = *state;
    static const struct row before[] = {{SLICE("a.xyz"), OCTETS}};
    static const struct row after[] = {
        {SLICE("a.xyz"), SLICE("application/x-second")}, /* the later line wins */
        {SLICE("a.one"), SLICE("application/x-first")},
        {SLICE("a.html"), SLICE("text/x-own; charset=utf-8")}, /* and wins over ours */
        {SLICE("a.htm"), SLICE("text/html; charset=utf-8")},
        {SLICE("a.upper"), SLICE("Text/Upper; charset=utf-8")},
        {SLICE("a.jsx"), SLICE("application/javascript; charset=utf-8")},
        {SLICE("a.crlf"), SLICE("application/crlf")},
        {SLICE("a.last"), SLICE("application/last")},
        {SLICE("a.comment"), OCTETS},
        {SLICE("a.gone"), OCTETS},
        {SLICE("a.bad"), OCTETS},
        {SLICE("a.gz"), SLICE("application/gzip")},
        {SLICE("a.css"), SLICE("text/css; charset=utf-8")},
    };
    slice text = exact_copy(SLICE("# a comment\n"
                                  "\n"
                                  "application/x-first\t\t xyz one\n"
                                  "application/x-second xyz # comment\n"
                                  "#application/x-third gone\n"
                                  "text/x-own html\n"
                                  "  Text/Upper   UPPER  \n"
                                  "application/javascript jsx\n"
                                  "application/crlf crlf\r\n"
                                  "application/none\n"
                                  "bad bad\n"
                                  "bad/ bad\n"
                                  "/bad bad\n"
                                  "a/b/c bad\n"
                                  "text/html;charset=x bad\n"
                                  "text/x\x01y bad\n"
                                  "application/x-tgz tar.gz a/b \x80 \n"
                                  "application/last last"));
    check_rows(w->table, before, COUNT_OF(before));
    assert_true(mime_load(w->table, text));
    exact_free(text); /* it was copied */
    check_rows(w->table, after, COUNT_OF(after));
    assert_true(mime_load(w->table, SLICE("")));
    assert_true(mime_load(w->table, (slice){NULL, 0}));
    assert_true(mime_load(w->table, SLICE("application/x-third xyz")));
    assert_slice(mime_of(w->table, SLICE("a.xyz")), SLICE("application/x-third"));
}

static void test_mime_load_system(void **state)
{
    struct world *w = *state;
    static const struct row rows[] = {
        {SLICE("a.ts"), SLICE("video/mp2t")},
        {SLICE("a.wav"), SLICE("audio/wav")},
        {SLICE("a.new"), SLICE("application/x-new")},
        {SLICE("a.html"), SLICE("text/x-own; charset=utf-8")},
    };
    assert_true(mime_load_system(w->table, SLICE("text/vnd.trolltech.linguist ts\naudio/x-wav wav\n"
                                                 "application/x-new new\ntext/x-own html\n")));
    check_rows(w->table, rows, COUNT_OF(rows));
    assert_true(mime_load(w->table, SLICE("text/x-typescript ts"))); /* the site's own lines win */
    assert_slice(mime_of(w->table, SLICE("a.ts")), SLICE("text/x-typescript; charset=utf-8"));
}

/* More lines than the table has buckets. */
static void test_mime_many_lines(void **state)
{
    struct world *w = *state;
    char room[64];
    for (int pass = 0; pass < 2; pass++)
        for (uint64_t i = 0; i < 3000; i++) {
            struct fmt f = fmt_on(room, sizeof room);
            fmt_printf(&f, "x/t%d-%u e%u", pass, (unsigned)i, (unsigned)i);
            assert_true(mime_load(w->table, fmt_done(&f)));
        }
    assert_slice(mime_of(w->table, SLICE("a.e0")), SLICE("x/t1-0"));
    assert_slice(mime_of(w->table, SLICE("a.E2999")), SLICE("x/t1-2999"));
}

/* Each allocation fails once: no leak, no crash, and what was there stays. */
static void test_mime_out_of_memory(void **state)
{
    struct mem_book book;
    struct mem_owner owner;
    mem_book_init(&book, 0);
    mem_owner_init(&owner, &book, "mime");
    uint64_t n = 1;
    for (struct mime_table *t = NULL; !t; n++) {
        book.fail_at = n;
        t = mime_new(&owner);
        if (!t) {
            assert_int_equal(owner.bytes, 0);
            continue;
        }
        book.fail_at = 2;
        assert_false(mime_load(t, SLICE("x/one one\nx/two two\nx/three three\n")));
        assert_slice(mime_of(t, SLICE("a.one")), SLICE("x/one"));
        assert_slice(mime_of(t, SLICE("a.two")), OCTETS);
        assert_slice(mime_of(t, SLICE("a.html")), SLICE("text/html; charset=utf-8"));
        mime_free(&t);
        break;
    }
    assert_true(n > 3);
    struct mime_table *none = NULL;
    mime_free(&none);
    mem_owner_fini(&owner);
    mem_book_fini(&book);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mime_built_in),   TEST(test_mime_without_a_known_extension),
        TEST(test_mime_load),       TEST(test_mime_load_system),
        TEST(test_mime_many_lines), cmocka_unit_test(test_mime_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
