/* base64 and hex: vectors of RFC 4648, what is refused, and every length there and back. */
#include "wire_test.h"

#include "base/rand.h"
#include "wire/base64.h"
#include "wire/hex.h"

struct row {
    slice bytes, std, url, url_pad;
};

static const struct row rows[] = {
    {SLICE(""), SLICE(""), SLICE(""), SLICE("")},
    {SLICE("f"), SLICE("Zg=="), SLICE("Zg"), SLICE("Zg==")},
    {SLICE("fo"), SLICE("Zm8="), SLICE("Zm8"), SLICE("Zm8=")},
    {SLICE("foo"), SLICE("Zm9v"), SLICE("Zm9v"), SLICE("Zm9v")},
    {SLICE("foob"), SLICE("Zm9vYg=="), SLICE("Zm9vYg"), SLICE("Zm9vYg==")},
    {SLICE("fooba"), SLICE("Zm9vYmE="), SLICE("Zm9vYmE"), SLICE("Zm9vYmE=")},
    {SLICE("foobar"), SLICE("Zm9vYmFy"), SLICE("Zm9vYmFy"), SLICE("Zm9vYmFy")},
    {SLICE("\0\0\0"), SLICE("AAAA"), SLICE("AAAA"), SLICE("AAAA")},
    {SLICE("\xfb\xff\xbf"), SLICE("+/+/"), SLICE("-_-_"), SLICE("-_-_")},
    {SLICE("\xff\xfe"), SLICE("//4="), SLICE("__4"), SLICE("__4=")},
};

/* RFC 4648 10 */
static void test_base64_vectors(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const slice texts[] = {rows[i].std, rows[i].url, rows[i].url_pad};
        for (enum base64_form form = BASE64; form <= BASE64_URL_PAD; form++) {
            char room[16];
            struct fmt f = fmt_on(room, sizeof room);
            slice bytes = exact_copy(rows[i].bytes), text = exact_copy(texts[form]);
            base64_put(bytes, form, &f);
            assert_slice(fmt_done(&f), text);
            assert_int_equal(base64_length(bytes.n, form), text.n);
            f = fmt_on(room, sizeof room);
            assert_true(base64_read(text, form, &f));
            assert_slice(fmt_done(&f), bytes);
            exact_free(bytes);
            exact_free(text);
        }
    }
}

static void test_base64_refuses(void **state)
{
    static const struct {
        slice text;
        enum base64_form form;
    } bad[] = {
        {SLICE("Zg"), BASE64},
        {SLICE("Zg="), BASE64},
        {SLICE("Zm8"), BASE64},
        {SLICE("Zg==="), BASE64},
        {SLICE("===="), BASE64},
        {SLICE("Z==="), BASE64},
        {SLICE("="), BASE64},
        {SLICE("=="), BASE64},
        {SLICE("Zg==Zg=="), BASE64},
        {SLICE("Zg=a"), BASE64},
        {SLICE("Zm9v\n"), BASE64},
        {SLICE("Zm9 "), BASE64},
        {SLICE("Zm\0v"), BASE64},
        {SLICE("Zm9-"), BASE64},
        {SLICE("Zm9_"), BASE64},
        {SLICE("Zh=="), BASE64},
        {SLICE("Zm9="), BASE64},
        {SLICE("Zm9\xe9"), BASE64},
        {SLICE("Zg=="), BASE64_URL},
        {SLICE("Zm8="), BASE64_URL},
        {SLICE("Z"), BASE64_URL},
        {SLICE("Zm9vY"), BASE64_URL},
        {SLICE("Zm9+"), BASE64_URL},
        {SLICE("Zm9/"), BASE64_URL},
        {SLICE("Zh"), BASE64_URL},
        {SLICE("Zg"), BASE64_URL_PAD},
        {SLICE("Zm9+"), BASE64_URL_PAD},
        {SLICE("="), BASE64_URL},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char room[16];
        struct fmt f = fmt_on(room, sizeof room);
        slice text = exact_copy(bad[i].text);
        fmt_char(&f, 'x');
        if (base64_read(text, bad[i].form, &f))
            ROW_FAILED(i, text);
        assert_slice(fmt_done(&f), SLICE("x"));
        assert_false(f.full);
        exact_free(text);
    }
}

static void test_base64_lengths(void **state)
{
    struct prng g = {1};
    char bytes[100], text[200], back[100];
    for (size_t n = 0; n <= sizeof bytes; n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)prng_next(&g);
        for (enum base64_form form = BASE64; form <= BASE64_URL_PAD; form++) {
            size_t length = base64_length(n, form);
            struct fmt f = fmt_on(text, length), g2 = fmt_on(back, n);
            base64_put(slice_of(bytes, n), form, &f);
            assert_false(f.full);
            assert_int_equal(fmt_room(&f), 0);
            assert_true(base64_bytes_max(length) >= n);
            assert_true(base64_read(fmt_done(&f), form, &g2));
            assert_slice(fmt_done(&g2), slice_of(bytes, n));
            if (!n)
                continue;
            f = fmt_on(back, length - 1 < sizeof back ? length - 1 : 0);
            base64_put(slice_of(bytes, n), form, &f);
            assert_true(f.full);
            assert_int_equal(fmt_done(&f).n, 0);
            f = fmt_on(back, n - 1);
            assert_false(base64_read(slice_of(text, length), form, &f));
            assert_int_equal(fmt_done(&f).n, 0);
        }
    }
    assert_int_equal(base64_length(SIZE_MAX, BASE64), SIZE_MAX);
    assert_int_equal(base64_length(SIZE_MAX / 4 * 3 - 2, BASE64), SIZE_MAX);
    assert_true(base64_length(SIZE_MAX / 4 * 3 - 3, BASE64) < SIZE_MAX);
}

static void test_hex(void **state)
{
    static const slice bad[] = {SLICE("0"),  SLICE("0g"),  SLICE("g0"), SLICE("0x"),
                                SLICE(" 0"), SLICE("00 "), SLICE("-1"), SLICE("0\0")};
    char room[8];
    struct fmt f = fmt_on(room, sizeof room);
    hex_put(SLICE("\0\x1f\xa9\xff"), &f);
    assert_slice(fmt_done(&f), SLICE("001fa9ff"));
    hex_put(SLICE("a"), &f);
    assert_true(f.full);
    f = fmt_on(room, 3);
    hex_put(SLICE("ab"), &f);
    assert_true(f.full);
    assert_int_equal(fmt_done(&f).n, 0);
    f = fmt_on(room, 4);
    assert_true(hex_read(SLICE("001fA9Ff"), &f));
    assert_slice(fmt_done(&f), SLICE("\0\x1f\xa9\xff"));
    assert_true(hex_read(SLICE(""), &f));
    assert_false(hex_read(SLICE("00"), &f));
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        f = fmt_on(room, sizeof room);
        if (hex_read(bad[i], &f))
            ROW_FAILED(i, bad[i]);
        assert_int_equal(fmt_done(&f).n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_refuses),
        cmocka_unit_test(test_base64_lengths),
        cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
