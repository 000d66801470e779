/* http_field: the tables find every name that they hold, and nothing else. */
#include "wire_test.h"

#include "wire/http_field.h"

static void test_methods(void **state)
{
    for (unsigned m = HTTP_GET; m < HTTP_METHOD_COUNT; m++) {
        assert_true(http_method_name(m).n > 0);
        assert_int_equal(http_method_of(http_method_name(m)), m);
    }
    assert_int_equal(http_method_of(SLICE("PROPFIND")), HTTP_PROPFIND);
    assert_int_equal(http_method_of(SLICE("get")), HTTP_OTHER);
    assert_int_equal(http_method_of(SLICE("GE")), HTTP_OTHER);
    assert_int_equal(http_method_of(SLICE("GETS")), HTTP_OTHER);
    assert_int_equal(http_method_of(SLICE("")), HTTP_OTHER);
}

static const slice names[FIELD_ID_COUNT] = {
    [FIELD_OTHER] = SLICE("x-other"),
    [FIELD_ACCEPT] = SLICE("accept"),
    [FIELD_ACCEPT_ENCODING] = SLICE("accept-encoding"),
    [FIELD_AUTHORIZATION] = SLICE("authorization"),
    [FIELD_CONNECTION] = SLICE("connection"),
    [FIELD_CONTENT_ENCODING] = SLICE("content-encoding"),
    [FIELD_CONTENT_LENGTH] = SLICE("content-length"),
    [FIELD_CONTENT_TYPE] = SLICE("content-type"),
    [FIELD_COOKIE] = SLICE("cookie"),
    [FIELD_EXPECT] = SLICE("expect"),
    [FIELD_HOST] = SLICE("host"),
    [FIELD_IF_MATCH] = SLICE("if-match"),
    [FIELD_IF_MODIFIED_SINCE] = SLICE("if-modified-since"),
    [FIELD_IF_NONE_MATCH] = SLICE("if-none-match"),
    [FIELD_IF_RANGE] = SLICE("if-range"),
    [FIELD_IF_UNMODIFIED_SINCE] = SLICE("if-unmodified-since"),
    [FIELD_RANGE] = SLICE("range"),
    [FIELD_REFERER] = SLICE("referer"),
    [FIELD_TE] = SLICE("te"),
    [FIELD_TRAILER] = SLICE("trailer"),
    [FIELD_TRANSFER_ENCODING] = SLICE("transfer-encoding"),
    [FIELD_UPGRADE] = SLICE("upgrade"),
    [FIELD_USER_AGENT] = SLICE("user-agent"),
};

static char flip_case(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? (char)(c ^ 0x20) : c;
}

/* RFC 9110 5.1: case does not matter, any other change of one bit does. */
static void test_fields(void **state)
{
    for (unsigned id = 0; id < FIELD_ID_COUNT; id++) {
        char room[32];
        slice name = names[id];
        assert_int_equal(http_field_id_of(name), id);
        for (size_t at = 0; at < name.n; at++) {
            memcpy(room, name.p, name.n);
            room[at] = flip_case(room[at]);
            assert_int_equal(http_field_id_of(slice_of(room, name.n)), id);
            for (int bit = 0; bit < 8; bit++) {
                memcpy(room, name.p, name.n);
                room[at] = (char)(room[at] ^ 1 << bit);
                if (room[at] != flip_case(name.p[at]))
                    assert_int_equal(http_field_id_of(slice_of(room, name.n)), FIELD_OTHER);
            }
        }
        assert_int_equal(http_field_id_of(slice_head(name, name.n - 1)), FIELD_OTHER);
    }
}

static void test_fields_of_any_length(void **state)
{
    static const char room[40] = "cccccccccccccccccccccccccccccccccccccccc";
    for (size_t n = 0; n <= sizeof room; n++) {
        slice name = exact_copy(slice_of(room, n));
        assert_int_equal(http_field_id_of(name), FIELD_OTHER);
        exact_free(name);
    }
}

static void test_reasons(void **state)
{
    assert_slice(http_status_reason(200), SLICE("OK"));
    assert_slice(http_status_reason(404), SLICE("Not Found"));
    assert_slice(http_status_reason(511), SLICE("Network Authentication Required"));
    assert_slice(http_status_reason(299), SLICE("Unknown"));
    assert_slice(http_status_reason(0), SLICE("Unknown"));
    assert_slice(http_status_reason(-404), SLICE("Unknown"));
    assert_slice(http_status_reason(512), SLICE("Unknown"));
    assert_slice(http_status_reason(INT32_MAX), SLICE("Unknown"));
}

/* RFC 9110 5.6.2 */
static void test_token(void **state)
{
    for (int c = 0; c < 256; c++) {
        char ch = (char)c;
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool expected = is_alnum || (c && slice_find(SLICE("!#$%&'*+-.^_`|~"), ch) >= 0);
        assert_int_equal(http_is_token(slice_of(&ch, 1)), expected);
    }
    assert_false(http_is_token(SLICE("")));
    assert_false(http_is_token(SLICE("a b")));
    assert_true(http_is_token(SLICE("gzip")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_fields_of_any_length),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
