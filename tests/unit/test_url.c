/* url: what is taken apart how, what is refused, and where references lead. */
#include "wire_test.h"

#include "wire/url.h"

struct row {
    slice text;
    enum url_scheme scheme;
    slice host;
    uint16_t port;
    slice authority, target;
};

static const struct row good[] = {
    {SLICE("http://a"), URL_HTTP, SLICE("a"), 80, SLICE("a"), SLICE("")},
    {SLICE("HTTP://A.b/"), URL_HTTP, SLICE("A.b"), 80, SLICE("A.b"), SLICE("/")},
    {SLICE("https://a/b"), URL_HTTPS, SLICE("a"), 443, SLICE("a"), SLICE("/b")},
    {SLICE("http://a:8080/b?c=d"), URL_HTTP, SLICE("a"), 8080, SLICE("a:8080"), SLICE("/b?c=d")},
    {SLICE("http://a:/"), URL_HTTP, SLICE("a"), 80, SLICE("a:"), SLICE("/")},
    {SLICE("http://a?c"), URL_HTTP, SLICE("a"), 80, SLICE("a"), SLICE("?c")},
    {SLICE("http://a/b?c@d:e"), URL_HTTP, SLICE("a"), 80, SLICE("a"), SLICE("/b?c@d:e")},
    {SLICE("http://a/b@c"), URL_HTTP, SLICE("a"), 80, SLICE("a"), SLICE("/b@c")},
    {SLICE("http://a/b#c"), URL_HTTP, SLICE("a"), 80, SLICE("a"), SLICE("/b")},
    {SLICE("http://a#c/d@e"), URL_HTTP, SLICE("a"), 80, SLICE("a"), SLICE("")},
    {SLICE("http://[::1]:81/"), URL_HTTP, SLICE("::1"), 81, SLICE("[::1]:81"), SLICE("/")},
    {SLICE("http://[::1]"), URL_HTTP, SLICE("::1"), 80, SLICE("[::1]"), SLICE("")},
    {SLICE("http://127.0.0.1/"), URL_HTTP, SLICE("127.0.0.1"), 80, SLICE("127.0.0.1"), SLICE("/")},
    {SLICE("http://a1.b2c./"), URL_HTTP, SLICE("a1.b2c."), 80, SLICE("a1.b2c."), SLICE("/")},
    {SLICE("http://1a.b/%2e/%zz"), URL_HTTP, SLICE("1a.b"), 80, SLICE("1a.b"), SLICE("/%2e/%zz")},
    {SLICE("unix:/run/a.sock"), URL_UNIX, SLICE("/run/a.sock"), 0, SLICE("localhost"), SLICE("")},
    {SLICE("unix:/run/a:/b?c:d"), URL_UNIX, SLICE("/run/a"), 0, SLICE("localhost"),
     SLICE("/b?c:d")},
};

static const slice bad[] = {
    SLICE(""),
    SLICE("a"),
    SLICE("/a"),
    SLICE("//a"),
    SLICE("http:"),
    SLICE("http:/a"),
    SLICE("http://"),
    SLICE("http:///a"),
    SLICE("http://:80/"),
    SLICE("ftp://a/"),
    SLICE("httpx://a/"),
    SLICE(" http://a/"),
    SLICE("http://a /"),
    SLICE("http://a/ b"),
    SLICE("http://a/\r\nX: y"),
    SLICE("http://a\r\n/"),
    SLICE("http://a/\0"),
    SLICE("http://a\0.b/"),
    SLICE("http://a/\t"),
    SLICE("http://a/caf\xc3\xa9"),
    SLICE("http://caf\xc3\xa9/"),
    SLICE("http://user@a/"),
    SLICE("http://user:pass@a/"),
    SLICE("http://a@b@c/"),
    SLICE("http://a:80@b/"),
    SLICE("http://@a/"),
    SLICE("http://a\\@b/"),
    SLICE("http:\\\\a/"),
    SLICE("http://a:0/"),
    SLICE("http://a:65536/"),
    SLICE("http://a:+1/"),
    SLICE("http://a:1:2/"),
    SLICE("http://a:b/"),
    SLICE("http://a,b/"),
    SLICE("http://%61/"),
    SLICE("http://a%00.b/"),
    SLICE("http://127.1/"),
    SLICE("http://127.0.0.1.1/"),
    SLICE("http://0x7f000001/"),
    SLICE("http://2130706433/"),
    SLICE("http://0177.0.0.1/"),
    SLICE("http://127.0.0.01/"),
    SLICE("http://a.1/"),
    SLICE("http://./"),
    SLICE("http://[::1/"),
    SLICE("http://[::1]a/"),
    SLICE("http://[fe80::1%25eth0]/"),
    SLICE("http://[v1.a]/"),
    SLICE("http://[]/"),
    SLICE("http://a/<b>"),
    SLICE("http://a/\"b"),
    SLICE("unix:"),
    SLICE("unix:a"),
    SLICE("unix://a/b"
          "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaa"
          "aaaaaaaaaaaaaaaaaaaa"),
    SLICE("unix:/a:b"),
    SLICE("unix:/a:?b"),
};

static void test_good(void **state)
{
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        const struct row *row = &good[i];
        slice copy = exact_copy(row->text);
        struct url u;
        const char *why;
        if (!url_parse(copy, &u, &why))
            ROW_FAILED(i, row->text);
        assert_int_equal(u.scheme, row->scheme);
        assert_int_equal(u.port, row->port);
        assert_slice(u.host, row->host);
        assert_slice(u.authority, row->authority);
        assert_slice(u.target, row->target);
        assert_true(url_is_valid(&u));
        assert_true(url_is_same_origin(&u, &u));
        exact_free(copy);
    }
}

static void test_bad(void **state)
{
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        slice copy = exact_copy(bad[i]);
        struct url u;
        const char *why = NULL;
        if (url_parse(copy, &u, &why) || !why)
            ROW_FAILED(i, bad[i]);
        exact_free(copy);
    }
    static char longest[URL_MAX + 1];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "http://a/", 9);
    struct url u;
    const char *why;
    assert_true(url_parse(slice_of(longest, URL_MAX), &u, &why));
    assert_false(url_parse(slice_of(longest, URL_MAX + 1), &u, &why));
}

/* No prefix of a URL makes the reader look beyond it. */
static void test_prefixes(void **state)
{
    for (size_t i = 0; i < COUNT_OF(good); i++)
        for (size_t n = 0; n < good[i].text.n; n++) {
            slice copy = exact_copy(slice_head(good[i].text, n));
            struct url u;
            const char *why;
            if (url_parse(copy, &u, &why))
                assert_true(url_is_valid(&u));
            exact_free(copy);
        }
}

static void test_by_hand(void **state)
{
    struct url u = {.scheme = URL_HTTP,
                    .port = 80,
                    .host = SLICE("127.0.0.1"),
                    .authority = SLICE("example.org"),
                    .target = SLICE("*")};
    assert_true(url_is_valid(&u));
    u.target = SLICE("/a b");
    assert_false(url_is_valid(&u));
    u.target = SLICE("a");
    assert_false(url_is_valid(&u));
    u.target = SLICE("");
    u.authority = SLICE("a\r\nX: y");
    assert_false(url_is_valid(&u));
    u.authority = SLICE("a");
    u.host = SLICE("::1");
    assert_true(url_is_valid(&u));
    u.host = SLICE("a\0b");
    assert_false(url_is_valid(&u));
    u.host = SLICE("");
    assert_false(url_is_valid(&u));
    assert_false(url_is_valid(&(struct url){.scheme = URL_NONE}));
    assert_false(url_is_valid(&(struct url){
        .scheme = URL_UNIX, .host = SLICE("/a\0b"), .authority = SLICE("localhost")}));
}

struct resolve_row {
    slice base, ref, result; /* .p NULL: refused */
};

/* RFC 3986 5.4.1 and 5.4.2, and what else servers write. */
static const struct resolve_row references[] = {
#define B SLICE("http://a/b/c/d;p?q")
    {B, SLICE("g:h"), SLICE("g:h")},
    {B, SLICE("g"), SLICE("http://a/b/c/g")},
    {B, SLICE("./g"), SLICE("http://a/b/c/g")},
    {B, SLICE("g/"), SLICE("http://a/b/c/g/")},
    {B, SLICE("/g"), SLICE("http://a/g")},
    {B, SLICE("//g"), SLICE("http://g")},
    {B, SLICE("?y"), SLICE("http://a/b/c/d;p?y")},
    {B, SLICE("g?y"), SLICE("http://a/b/c/g?y")},
    {B, SLICE("#s"), SLICE("http://a/b/c/d;p?q")},
    {B, SLICE("g#s"), SLICE("http://a/b/c/g")},
    {B, SLICE("g?y#s"), SLICE("http://a/b/c/g?y")},
    {B, SLICE(";x"), SLICE("http://a/b/c/;x")},
    {B, SLICE("g;x"), SLICE("http://a/b/c/g;x")},
    {B, SLICE(""), SLICE("http://a/b/c/d;p?q")},
    {B, SLICE("."), SLICE("http://a/b/c/")},
    {B, SLICE("./"), SLICE("http://a/b/c/")},
    {B, SLICE(".."), SLICE("http://a/b/")},
    {B, SLICE("../"), SLICE("http://a/b/")},
    {B, SLICE("../g"), SLICE("http://a/b/g")},
    {B, SLICE("../.."), SLICE("http://a/")},
    {B, SLICE("../../"), SLICE("http://a/")},
    {B, SLICE("../../g"), SLICE("http://a/g")},
    {B, SLICE("../../../g"), SLICE("http://a/g")},
    {B, SLICE("../../../../g"), SLICE("http://a/g")},
    {B, SLICE("/./g"), SLICE("http://a/g")},
    {B, SLICE("/../g"), SLICE("http://a/g")},
    {B, SLICE("g."), SLICE("http://a/b/c/g.")},
    {B, SLICE("..g"), SLICE("http://a/b/c/..g")},
    {B, SLICE("./../g"), SLICE("http://a/b/g")},
    {B, SLICE("./g/."), SLICE("http://a/b/c/g/")},
    {B, SLICE("g/./h"), SLICE("http://a/b/c/g/h")},
    {B, SLICE("g/../h"), SLICE("http://a/b/c/h")},
    {B, SLICE("g?y/../x"), SLICE("http://a/b/c/g?y/../x")},
    {B, SLICE("g?a:b"), SLICE("http://a/b/c/g?a:b")},
    {B, SLICE("g\0"), {NULL, 0}},
    {SLICE("http://a"), SLICE("g"), SLICE("http://a/g")},
    {SLICE("http://a?q"), SLICE(".."), SLICE("http://a/")},
    {SLICE("http://a:8/x"), SLICE("y"), SLICE("http://a:8/y")},
    {SLICE("https://a/x"), SLICE("//b/y"), SLICE("https://b/y")},
    {SLICE("unix:/s:/a/b"), SLICE("c"), SLICE("unix:/s:/a/c")},
    {SLICE("unix:/s:/a/b"), SLICE("/../../c"), SLICE("unix:/s:/c")},
    {SLICE("unix:/s:/a/b"), SLICE("//c"), {NULL, 0}},
};

static void test_references(void **state)
{
    for (size_t i = 0; i < COUNT_OF(references); i++) {
        const struct resolve_row *row = &references[i];
        for (size_t room_n = 0; room_n <= 64; room_n++) {
            struct url u;
            const char *why;
            assert_true(url_parse(row->base, &u, &why));
            char *room = malloc(room_n + 1);
            struct fmt f = fmt_on(room, room_n);
            bool ok = url_resolve(&u, row->ref, &f);
            if (ok && !slice_is(fmt_done(&f), row->result))
                ROW_FAILED(i, fmt_done(&f));
            if (room_n == 64 && ok != (row->result.p != NULL))
                ROW_FAILED(i, row->ref);
            free(room);
        }
    }
}

static void test_origin(void **state)
{
    static const struct {
        slice a, b;
        bool same;
    } rows[] = {
        {SLICE("http://a/x"), SLICE("http://A:80/y"), true},
        {SLICE("http://a/"), SLICE("https://a/"), false},
        {SLICE("http://a/"), SLICE("http://a:81/"), false},
        {SLICE("http://a/"), SLICE("http://b/"), false},
        {SLICE("unix:/a:/x"), SLICE("unix:/a"), true},
        {SLICE("unix:/a:/x"), SLICE("unix:/A"), false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct url a, b;
        const char *why;
        assert_true(url_parse(rows[i].a, &a, &why) && url_parse(rows[i].b, &b, &why));
        if (url_is_same_origin(&a, &b) != rows[i].same)
            ROW_FAILED(i, rows[i].a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_bad),
        cmocka_unit_test(test_prefixes),   cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_references), cmocka_unit_test(test_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
