/* form: pairs of queries and bodies, both encodings there and back. */
#include "wire_test.h"

#include "wire/form.h"

/* "a=1|b|" as pairs: name, "=" when there is one, value. */
static void check_pairs(slice text, const char *expected)
{
    char room[128];
    slice copy = exact_copy(text), rest = copy;
    struct fmt f = fmt_on(room, sizeof room);
    for (struct form_pair pair; form_next(&rest, &pair);) {
        fmt_put(&f, pair.name);
        fmt_str(&f, pair.value.p ? "=" : "");
        fmt_put(&f, pair.value);
        fmt_char(&f, '|');
    }
    assert_slice(fmt_done(&f), slice_str(expected));
    exact_free(copy);
}

static void test_form_pairs(void **state)
{
    check_pairs(SLICE(""), "");
    check_pairs(SLICE("a=1"), "a=1|");
    check_pairs(SLICE("a=1&b=2"), "a=1|b=2|");
    check_pairs(SLICE("a=1&b=2&"), "a=1|b=2|");
    check_pairs(SLICE("&&a=1&&&b=2&&"), "a=1|b=2|");
    check_pairs(SLICE("&"), "");
    check_pairs(SLICE("a"), "a|");
    check_pairs(SLICE("a="), "a=|");
    check_pairs(SLICE("=1"), "=1|");
    check_pairs(SLICE("="), "=|");
    check_pairs(SLICE("a=b=c"), "a=b=c|");
    check_pairs(SLICE("a;b=1&c"), "a;b=1|c|");
    check_pairs(SLICE("a=1&a=2"), "a=1|a=2|");
    check_pairs(SLICE("a%3D=%26"), "a%3D=%26|");
    check_pairs((slice){NULL, 0}, "");
}

static void test_form_decode(void **state)
{
    static const struct {
        slice encoded, text;
        bool is_clean;
    } rows[] = {
        {SLICE(""), SLICE(""), true},
        {SLICE("abc"), SLICE("abc"), true},
        {SLICE("a+b++c"), SLICE("a b  c"), true},
        {SLICE("%2B%20%2b"), SLICE("+ +"), true},
        {SLICE("%00%ff"), SLICE("\0\xff"), true},
        {SLICE("caf%C3%A9"), SLICE("caf\xc3\xa9"), true},
        {SLICE("%2541"), SLICE("%41"), true},
        {SLICE("100%"), SLICE("100%"), false},
        {SLICE("%4"), SLICE("%4"), false},
        {SLICE("%4g%41"), SLICE("%4gA"), false},
        {SLICE("%%41"), SLICE("%A"), false},
        {SLICE("%+1"), SLICE("% 1"), false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        slice in = exact_copy(rows[i].encoded), room = exact_copy(rows[i].encoded), text;
        bool is_clean = form_decode(in, (char *)room.p, &text);
        if (is_clean != rows[i].is_clean)
            ROW_FAILED(i, in);
        assert_slice(text, rows[i].text);
        exact_free(in);
        exact_free(room);
    }
}

static void test_form_encode(void **state)
{
    char room[1024], back[1024], all[256];
    struct fmt f = fmt_on(room, sizeof room);
    form_encode(SLICE("a b*-._~/\xc3\xa9&=+%"), &f);
    assert_slice(fmt_done(&f), SLICE("a+b*-._%7E%2F%C3%A9%26%3D%2B%25"));
    f = fmt_on(room, sizeof room);
    form_encode_component(SLICE("a b*-._~/\xc3\xa9&=+%"), &f);
    assert_slice(fmt_done(&f), SLICE("a%20b%2A-._~%2F%C3%A9%26%3D%2B%25"));
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    for (int is_form = 0; is_form < 2; is_form++) {
        slice text;
        f = fmt_on(room, sizeof room);
        (is_form ? form_encode : form_encode_component)(slice_of(all, 256), &f);
        assert_false(f.full);
        assert_true(form_decode(fmt_done(&f), back, &text));
        assert_slice(text, slice_of(all, 256));
    }
    f = fmt_on(room, 2);
    form_encode(SLICE("/"), &f);
    assert_true(f.full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form_pairs),
        cmocka_unit_test(test_form_decode),
        cmocka_unit_test(test_form_encode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
