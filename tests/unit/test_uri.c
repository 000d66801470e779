/* uri: paths cannot leave the root, whoever encodes them. */
#include "wire_test.h"

#include "wire/uri.h"

struct path_row {
    slice encoded, path;
};

/* RFC 3986 2.1, 5.2.4, 6.2.2 */
static const struct path_row good_paths[] = {
    {SLICE("/"), SLICE("/")},
    {SLICE("/a"), SLICE("/a")},
    {SLICE("/a/"), SLICE("/a/")},
    {SLICE("/a/b.html"), SLICE("/a/b.html")},
    {SLICE("//"), SLICE("/")},
    {SLICE("///a//b//"), SLICE("/a/b/")},
    {SLICE("/."), SLICE("/")},
    {SLICE("/./"), SLICE("/")},
    {SLICE("/./a/./b/."), SLICE("/a/b/")},
    {SLICE("/a/.."), SLICE("/")},
    {SLICE("/a/../"), SLICE("/")},
    {SLICE("/a/b/.."), SLICE("/a/")},
    {SLICE("/a/b/../c"), SLICE("/a/c")},
    {SLICE("/a/b/../../c"), SLICE("/c")},
    {SLICE("/a//../b"), SLICE("/b")},
    {SLICE("/a/./../b"), SLICE("/b")},
    {SLICE("/a/%2e%2e/b"), SLICE("/b")},
    {SLICE("/a/%2E./b"), SLICE("/b")},
    {SLICE("/%2e/b"), SLICE("/b")},
    {SLICE("/..."), SLICE("/...")},
    {SLICE("/..a/.b/a..b/a../a."), SLICE("/..a/.b/a..b/a../a.")},
    {SLICE("/%41%7e"), SLICE("/A~")},
    {SLICE("/a%20b+c"), SLICE("/a b+c")},
    {SLICE("/%25%32%66"), SLICE("/%2f")}, /* once, not twice */
    {SLICE("/%252e%252e/a"), SLICE("/%2e%2e/a")},
    {SLICE("/%5c..%5c"), SLICE("/\\..\\")}, /* a name like any other */
    {SLICE("/caf%C3%a9"), SLICE("/caf\xc3\xa9")},
    {SLICE("/%ff%c0%ae"), SLICE("/\xff\xc0\xae")}, /* names are bytes */
    {SLICE("/%3f%23"), SLICE("/?#")},
};

static const slice bad_paths[] = {
    SLICE(""),         SLICE("a"),          SLICE("*"),          SLICE("%2fa"),
    SLICE("/.."),      SLICE("/../"),       SLICE("/../a"),      SLICE("/a/../.."),
    SLICE("//.."),     SLICE("/./.."),      SLICE("/%2e%2e"),    SLICE("/%2e%2e/etc/passwd"),
    SLICE("/.%2e/a"),  SLICE("/a/../../b"), SLICE("/%"),         SLICE("/%4"),
    SLICE("/%4g"),     SLICE("/%g4"),       SLICE("/%%41"),      SLICE("/%-1"),
    SLICE("/% 1"),     SLICE("/%00"),       SLICE("/a%00.html"), SLICE("/%0d%0aX:%20y"),
    SLICE("/%1f"),     SLICE("/%7f"),       SLICE("/%09"),       SLICE("/a%2fb"),
    SLICE("/..%2f.."), SLICE("/a%2Fb"),     SLICE("/a\0b"),      SLICE("/a\nb"),
};

static bool decode(slice encoded, struct fmt *f)
{
    slice copy = exact_copy(encoded);
    bool ok = uri_path_decode(copy, f) == 0;
    exact_free(copy);
    return ok;
}

static void test_path_decode(void **state)
{
    for (size_t i = 0; i < COUNT_OF(good_paths); i++) {
        char room[64];
        struct fmt f = fmt_on(room, sizeof room);
        if (!decode(good_paths[i].encoded, &f))
            ROW_FAILED(i, good_paths[i].encoded);
        assert_slice(fmt_done(&f), good_paths[i].path);
    }
}

static void test_path_decode_refuses(void **state)
{
    for (size_t i = 0; i < COUNT_OF(bad_paths); i++) {
        char room[64];
        struct fmt f = fmt_on(room, sizeof room);
        if (decode(bad_paths[i], &f))
            ROW_FAILED(i, bad_paths[i]);
        assert_int_equal(fmt_done(&f).n, 0);
    }
}

/* Never past the end of the room, and what stood there before stays. */
static void test_path_decode_room(void **state)
{
    for (size_t i = 0; i < COUNT_OF(good_paths); i++) {
        for (size_t n = 0; n <= good_paths[i].encoded.n; n++) {
            slice room = exact_copy(slice_head(good_paths[i].encoded, n));
            struct fmt f = fmt_on((char *)room.p, n);
            bool ok = decode(good_paths[i].encoded, &f);
            assert_slice(fmt_done(&f), ok ? good_paths[i].path : SLICE(""));
            exact_free(room);
        }
    }
    char room[16];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_str(&f, "/x");
    assert_int_equal(uri_path_decode(SLICE("/a/../b"), &f), 0);
    assert_slice(fmt_done(&f), SLICE("/x/b"));
    assert_int_equal(uri_path_decode(SLICE("/a/../.."), &f), -400);
    assert_slice(fmt_done(&f), SLICE("/x/b"));
    fmt_str(&f, "much too long");
    assert_true(f.full);
    assert_int_equal(uri_path_decode(SLICE("/"), &f), -404);
}

static void test_path_decode_longest(void **state)
{
    static char path[URI_PATH_MAX + 1], room[URI_PATH_MAX + 10];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    struct fmt f = fmt_on(room, sizeof room);
    assert_int_equal(uri_path_decode(slice_of(path, URI_PATH_MAX), &f), 0);
    assert_int_equal(fmt_done(&f).n, URI_PATH_MAX);
    f = fmt_on(room, sizeof room);
    assert_int_equal(uri_path_decode(slice_of(path, URI_PATH_MAX + 1), &f), -404);
    path[URI_PATH_MAX - 1] = '/';
    path[URI_PATH_MAX] = '/';
    assert_int_equal(uri_path_decode(slice_of(path, URI_PATH_MAX + 1), &f), 0);
}

/* RFC 3986 3.3 */
static void test_path_encode(void **state)
{
    static const struct path_row rows[] = {
        {SLICE(""), SLICE("")},
        {SLICE("/a/b.html"), SLICE("/a/b.html")},
        {SLICE("/-._~!$&'()*+,;=:@"), SLICE("/-._~!$&'()*+,;=:@")},
        {SLICE("/%3F%23%5B%5D"), SLICE("/?#[]")},
        {SLICE("/a%20b%25%22%3C%3E%5C%5E%60%7B%7C%7D"), SLICE("/a b%\"<>\\^`{|}")},
        {SLICE("/%00%0A%7F%C3%A9"), SLICE("/\0\n\x7f\xc3\xa9")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char room[64];
        struct fmt f = fmt_on(room, sizeof room);
        uri_path_encode(rows[i].path, &f);
        assert_slice(fmt_done(&f), rows[i].encoded);
    }
    char room[4];
    struct fmt f = fmt_on(room, sizeof room);
    uri_path_encode(SLICE("/  "), &f);
    assert_true(f.full);
    assert_slice(fmt_done(&f), SLICE("/%20"));
}

/* What is encoded comes back as it was. */
static void test_path_round_trip(void **state)
{
    for (size_t i = 0; i < COUNT_OF(good_paths); i++) {
        char there[128], back[64];
        struct fmt f = fmt_on(there, sizeof there), g = fmt_on(back, sizeof back);
        uri_path_encode(good_paths[i].path, &f);
        assert_int_equal(uri_path_decode(fmt_done(&f), &g), 0);
        assert_slice(fmt_done(&g), good_paths[i].path);
    }
}

static void test_query_get(void **state)
{
    slice query = SLICE("a=1&b=&c&aa=2&a=3&=x&d=e=f&&%61=4");
    assert_slice(uri_query_get(query, SLICE("a")), SLICE("1"));
    assert_slice(uri_query_get(query, SLICE("aa")), SLICE("2"));
    assert_slice(uri_query_get(query, SLICE("d")), SLICE("e=f"));
    assert_slice(uri_query_get(query, SLICE("%61")), SLICE("4"));
    assert_slice(uri_query_get(query, SLICE("")), SLICE("x"));
    slice b = uri_query_get(query, SLICE("b")), c = uri_query_get(query, SLICE("c"));
    assert_true(b.p && !b.n && c.p && !c.n);
    assert_null(uri_query_get(query, SLICE("e")).p);
    assert_null(uri_query_get(SLICE(""), SLICE("a")).p);
    assert_null(uri_query_get((slice){NULL, 0}, SLICE("a")).p);
}

static const slice authorities[] = {
    SLICE("a"),
    SLICE("localhost"),
    SLICE("localhost:"),
    SLICE("localhost:0"),
    SLICE("a.b:65535"),
    SLICE("a.b.:80"),
    SLICE("127.0.0.1"),
    SLICE("127.0.0.1:8080"),
    SLICE("[::]"),
    SLICE("[::1]:80"),
    SLICE("[2001:db8::1]"),
    SLICE("[::1]:"),
    SLICE("A-b_c~"),
    SLICE("[::1.2.3.4]:1"),
    SLICE("x!$&'()*+;="),
    SLICE("%41b"),
    SLICE("xn--bcher-kva.example"),
    SLICE("a:00080"),
};

static const slice no_authorities[] = {
    SLICE(""),         SLICE(":"),
    SLICE(":80"),      SLICE("a b"),
    SLICE(" a"),       SLICE("a:b"),
    SLICE("a:-1"),     SLICE("a:65536"),
    SLICE("a:99999"),  SLICE("a:000080"),
    SLICE("a:1:2"),    SLICE("::1"),
    SLICE("u@a"),      SLICE("u:p@a"),
    SLICE("a/"),       SLICE("a?"),
    SLICE("a#"),       SLICE("a\\b"),
    SLICE("a,b"),      SLICE("a%"),
    SLICE("a%4"),      SLICE("a%zz"),
    SLICE("[]"),       SLICE("["),
    SLICE("[::1"),     SLICE("::1]"),
    SLICE("[::1]a"),   SLICE("[::1]:x"),
    SLICE("[1]"),      SLICE("[127.0.0.1]"),
    SLICE("[v1.a]"),   SLICE("[fe80::1%25eth0]"),
    SLICE("[::1\0]"),  SLICE("a\0"),
    SLICE("\xc3\xa9"), SLICE("[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"),
    SLICE("a\t"),      SLICE("[[::1]]"),
};

/* RFC 3986 3.2.2, 3.2.3 */
static void test_authority(void **state)
{
    for (size_t i = 0; i < COUNT_OF(authorities); i++) {
        slice s = exact_copy(authorities[i]);
        if (!uri_is_authority(s))
            ROW_FAILED(i, s);
        exact_free(s);
    }
    for (size_t i = 0; i < COUNT_OF(no_authorities); i++) {
        slice s = exact_copy(no_authorities[i]);
        if (uri_is_authority(s))
            ROW_FAILED(i, s);
        exact_free(s);
    }
    char name[256];
    memset(name, 'a', sizeof name);
    assert_true(uri_is_authority(slice_of(name, 255)));
    assert_false(uri_is_authority(slice_of(name, 256)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_decode),      cmocka_unit_test(test_path_decode_refuses),
        cmocka_unit_test(test_path_decode_room), cmocka_unit_test(test_path_decode_longest),
        cmocka_unit_test(test_path_encode),      cmocka_unit_test(test_path_round_trip),
        cmocka_unit_test(test_query_get),        cmocka_unit_test(test_authority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
