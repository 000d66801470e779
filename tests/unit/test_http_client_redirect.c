/* The HTTP client when it is sent elsewhere: where it goes, where not, and what it takes along. */
#include "client_rig.h"

#define OK5       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define MOVED(to) "HTTP/1.1 302 x\r\nLocation: " to "\r\nContent-Length: 3\r\n\r\nbye"

static struct ask *ask_following(struct rig *rig, const char *url, unsigned redirects)
{
    struct ask *a = ask_new(rig, url);
    a->r.redirects = redirects;
    ask_start(a);
    rig_settle(rig);
    return a;
}

static void test_redirect(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_following(rig, RIG_URL "/a/b?c", 5);
    rig_expect(rig, 0, "GET /a/b?c HTTP/1.1\r\nHost: " RIG_IP "\r\n\r\n");
    rig_say(rig, 0, SLICE(MOVED("../d?e#f")));
    rig_expect(rig, 0, "GET /d?e HTTP/1.1\r\nHost: " RIG_IP "\r\n\r\n");
    rig_say(rig, 0, SLICE(MOVED(RIG_URL ":80/g")));
    rig_expect(rig, 0, "GET /g HTTP/1.1\r\nHost: " RIG_IP ":80\r\n\r\n");
    rig_say(rig, 0, SLICE(OK5));
    assert_data(a, "hello");
    assert_int_equal(a->r.hops, 2);
    assert_int_equal(a->heads, 1);
    ask_ends(a, 0);
    rig_free(rig);
}

/* Another host gets no secrets of the first. */
static void test_redirect_elsewhere(void **state)
{
    static const struct http_field fields[] = {
        {.name = SLICE("Cookie"), .value = SLICE("a=b")},
        {.name = SLICE("Authorization"), .value = SLICE("Basic x")},
        {.name = SLICE("Host"), .value = SLICE("first")},
        {.name = SLICE("Accept"), .value = SLICE("*/*")},
    };
    struct rig *rig = rig_new(NULL, NULL);
    rig_listen(rig, 81);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.redirects = 1;
    a->r.fields = fields;
    a->r.field_count = COUNT_OF(fields);
    ask_start(a);
    rig_say(rig, 0, SLICE(MOVED("//" RIG_IP ":81/x")));
    rig_settle_at(rig, 81);
    rig_expect(rig, 1, "GET /x HTTP/1.1\r\nAccept: */*\r\nHost: " RIG_IP ":81\r\n\r\n");
    rig_say(rig, 1, SLICE(OK5));
    ask_ends(a, 0);
    rig_free(rig);
}

static void check_bad_redirect(slice answer, int error)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_following(rig, RIG_URL, 2);
    rig_say(rig, 0, answer);
    assert_int_equal(a->heads, 0);
    ask_ends(a, error);
    rig_free(rig);
}

static void test_bad_redirects(void **state)
{
    check_bad_redirect(SLICE(MOVED("https://a/")), HTTP_CLIENT_NO_TLS);
    check_bad_redirect(SLICE(MOVED("unix:/run/docker.sock:/x")), HTTP_CLIENT_BAD_REDIRECT);
    check_bad_redirect(SLICE(MOVED("ftp://a/")), HTTP_CLIENT_BAD_REDIRECT);
    check_bad_redirect(SLICE(MOVED("javascript:x")), HTTP_CLIENT_BAD_REDIRECT);
    check_bad_redirect(SLICE(MOVED("http://user@a/")), HTTP_CLIENT_BAD_REDIRECT);
    check_bad_redirect(SLICE(MOVED("/a b")), HTTP_CLIENT_BAD_REDIRECT);
    check_bad_redirect(SLICE(MOVED("/caf\xe9")), HTTP_CLIENT_BAD_REDIRECT);
    check_bad_redirect(SLICE(MOVED("/a\r\nLocation: /b")), HTTP_CLIENT_BAD_REDIRECT);
    check_bad_redirect(SLICE(MOVED("http://name.example/")), HTTP_CLIENT_NO_RESOLVER);
}

static void test_redirect_loop(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_following(rig, RIG_URL, 3);
    for (unsigned i = 0; i < 3; i++)
        rig_say(rig, 0, SLICE(MOVED("/")));
    assert_int_equal(a->dones, 0);
    rig_say(rig, 0, SLICE(MOVED("/")));
    ask_ends(a, HTTP_CLIENT_TOO_MANY_REDIRECTS);
    rig_free(rig);
}

static bool may_not(struct http_request *r, const struct url *to)
{
    assert_true(slice_is(to->target, SLICE("/x")));
    return false;
}

/* The redirect is the answer: nobody wants it followed, or there is nowhere to go. */
static void test_redirect_is_answer(void **state)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct rig *rig = rig_new(NULL, NULL);
        struct ask *a = ask_new(rig, RIG_URL);
        a->r.redirects = kind == 0 ? 0 : 5;
        a->r.method = kind == 1 ? SLICE("POST") : SLICE("GET");
        a->r.may_follow = kind == 2 ? may_not : NULL;
        ask_start(a);
        rig_say(rig, 0,
                kind == 3 ? SLICE("HTTP/1.1 302 x\r\nContent-Length: 3\r\n\r\nbye")
                          : SLICE(MOVED("/x")));
        assert_int_equal(a->status, 302);
        assert_data(a, "bye");
        ask_ends(a, 0);
        rig_free(rig);
    }
}

/* The body of a redirect is read, but not without end. */
static void test_redirect_endless_body(void **state)
{
    static char block[20000];
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_following(rig, RIG_URL, 1);
    rig_say(rig, 0, SLICE("HTTP/1.1 301 x\r\nLocation: /x\r\n\r\n"));
    for (unsigned i = 0; i < 5 && rig->peer_count == 1; i++)
        rig_say(rig, 0, slice_of(block, sizeof block));
    rig_expect(rig, 1, "GET /x HTTP/1.1\r\nHost: " RIG_IP "\r\n\r\n");
    rig_say(rig, 1, SLICE(OK5));
    ask_ends(a, 0);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redirect),           cmocka_unit_test(test_redirect_elsewhere),
        cmocka_unit_test(test_bad_redirects),      cmocka_unit_test(test_redirect_loop),
        cmocka_unit_test(test_redirect_is_answer), cmocka_unit_test(test_redirect_endless_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
