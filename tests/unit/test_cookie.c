/* cookie: what browsers send, and what may be set. */
#include "wire_test.h"

#include "wire/cookie.h"

static void check_pairs(slice field, const char *expected)
{
    char room[128];
    slice copy = exact_copy(field), rest = copy;
    struct fmt f = fmt_on(room, sizeof room);
    for (slice name, value; cookie_next(&rest, &name, &value);)
        fmt_printf(&f, "%.*s=%.*s|", SLICE_ARGS(name), SLICE_ARGS(value));
    assert_slice(fmt_done(&f), slice_str(expected));
    exact_free(copy);
}

static void test_cookie_pairs(void **state)
{
    check_pairs(SLICE(""), "");
    check_pairs(SLICE("a=1"), "a=1|");
    check_pairs(SLICE("a=1; b=2"), "a=1|b=2|");
    check_pairs(SLICE("a=1;b=2;  c = 3\t"), "a=1|b=2|c=3|");
    check_pairs(SLICE("a=\"x y\"; b=\"; c=\"\""), "a=x y|b=\"|c=|");
    check_pairs(SLICE("a=b=c=="), "a=b=c==|");
    check_pairs(SLICE("a=; b"), "a=|");
    check_pairs(SLICE("=1; ; ;a=1;"), "a=1|");
    check_pairs(SLICE("a=\xc3\xa9,x"), "a=\xc3\xa9,x|");
    check_pairs((slice){NULL, 0}, "");
    assert_slice(cookie_get(SLICE("A=0; a=1; a=2"), SLICE("a")), SLICE("1"));
    assert_null(cookie_get(SLICE("ab=1"), SLICE("a")).p);
}

static void test_cookie_put(void **state)
{
    static const struct {
        struct cookie cookie;
        const char *line;
    } rows[] = {
        {{SLICE("a"), SLICE("")}, "a="},
        {{SLICE("sid"), SLICE("x/y=z+1")}, "sid=x/y=z+1"},
        {{SLICE("a"), SLICE("1"), SLICE("/"), SLICE("example.org")},
         "a=1; Path=/; Domain=example.org"},
        {{SLICE("a"), SLICE("1"), .domain = SLICE(".example.org")}, "a=1; Domain=.example.org"},
        {{SLICE("a"), SLICE("1"), .has_max_age = true, .max_age_s = 3600}, "a=1; Max-Age=3600"},
        {{SLICE("a"), SLICE("1"), .has_max_age = true, .max_age_s = -5}, "a=1; Max-Age=0"},
        {{SLICE("a"), SLICE(""), .has_expires = true}, "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"},
        {{SLICE("a"), SLICE("1"), .same_site = SAME_SITE_LAX, .http_only = true},
         "a=1; SameSite=Lax; HttpOnly"},
        {{SLICE("a"), SLICE("1"), .same_site = SAME_SITE_STRICT}, "a=1; SameSite=Strict"},
        {{SLICE("a"), SLICE("1"), .same_site = SAME_SITE_NONE, .secure = true, .partitioned = true},
         "a=1; SameSite=None; Secure; Partitioned"},
        {{SLICE("__Host-a"), SLICE("1"), SLICE("/"), .secure = true}, "__Host-a=1; Path=/; Secure"},
        {{SLICE("__Secure-a"), SLICE("1"), .secure = true}, "__Secure-a=1; Secure"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char room[200];
        const char *why = NULL;
        struct fmt f = fmt_on(room, sizeof room);
        assert_true(cookie_put(&rows[i].cookie, &f, &why));
        assert_slice(fmt_done(&f), slice_str(rows[i].line));
    }
}

static void test_cookie_faults(void **state)
{
    static const char name[] = "the name of a cookie has a character that may not stand in it, or "
                               "none",
                      value[] = "the value of a cookie has a character that must be encoded",
                      path[] = "this is not the path of a cookie",
                      domain[] = "this is not the domain of a cookie",
                      host[] = "a name with __Host- needs Secure, the path \"/\" and no domain";
    static char large[COOKIE_BYTES_MAX + 1];
    memset(large, 'x', sizeof large);
    const struct {
        struct cookie cookie;
        const char *why;
    } rows[] = {
        {{SLICE(""), SLICE("1")}, name},
        {{SLICE("a b"), SLICE("1")}, name},
        {{SLICE("a=b"), SLICE("1")}, name},
        {{SLICE("a;"), SLICE("1")}, name},
        {{SLICE("a\r\n"), SLICE("1")}, name},
        {{SLICE("a"), SLICE("1;")}, value},
        {{SLICE("a"), SLICE("1 2")}, value},
        {{SLICE("a"), SLICE("1,2")}, value},
        {{SLICE("a"), SLICE("\"1\"")}, value},
        {{SLICE("a"), SLICE("1\\2")}, value},
        {{SLICE("a"), SLICE("1\r\nX: y")}, value},
        {{SLICE("a"), SLICE("1\0")}, value},
        {{SLICE("a"), SLICE("\x7f")}, value},
        {{SLICE("a"), SLICE("\xc3\xa9")}, value},
        {{SLICE("a"), slice_of(large, sizeof large)}, "a cookie has at most 4096 bytes"},
        {{SLICE("a"), SLICE("1"), SLICE("x")}, path},
        {{SLICE("a"), SLICE("1"), SLICE("/;x")}, path},
        {{SLICE("a"), SLICE("1"), SLICE("/\n")}, path},
        {{SLICE("a"), SLICE("1"), .domain = SLICE("a;b")}, domain},
        {{SLICE("a"), SLICE("1"), .domain = SLICE("a b")}, domain},
        {{SLICE("a"), SLICE("1"), .domain = SLICE("..a")}, domain},
        {{SLICE("a"), SLICE("1"), .domain = SLICE(".")}, domain},
        {{SLICE("a"), SLICE("1"), .domain = SLICE("a:80")}, domain},
        {{SLICE("a"), SLICE("1"), .same_site = SAME_SITE_NONE}, "SameSite=None needs Secure"},
        {{SLICE("a"), SLICE("1"), .partitioned = true}, "Partitioned needs Secure"},
        {{SLICE("__secure-a"), SLICE("1")}, "a name with __Secure- needs Secure"},
        {{SLICE("__Host-a"), SLICE("1"), SLICE("/")}, host},
        {{SLICE("__host-a"), SLICE("1"), .secure = true}, host},
        {{SLICE("__Host-a"), SLICE("1"), SLICE("/"), SLICE("a.b"), .secure = true}, host},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char room[8192];
        const char *why = "";
        struct fmt f = fmt_on(room, sizeof room);
        if (cookie_put(&rows[i].cookie, &f, &why) || strcmp(why, rows[i].why) != 0) {
            print_error("%s\n", why);
            ROW_FAILED(i, rows[i].cookie.name);
        }
        assert_int_equal(fmt_done(&f).n, 0);
    }
    char small[4];
    const char *why;
    struct fmt f = fmt_on(small, sizeof small);
    assert_true(cookie_put(&(struct cookie){SLICE("abc"), SLICE("def")}, &f, &why));
    assert_true(f.full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookie_pairs),
        cmocka_unit_test(test_cookie_put),
        cmocka_unit_test(test_cookie_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
