/* fuzz_form: the small forms of text: queries, cookies, parameters, base64, hexadecimal. Slices lie
 * in the input; what is read writes the same text again, or what is written reads the same. */
#include "base/check.h"
#include "wire/base64.h"
#include "wire/cookie.h"
#include "wire/field_param.h"
#include "wire/form.h"
#include "wire/hex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(slice all, slice s)
{
    BUG_ON(s.p && (s.p < all.p || s.p + s.n > all.p + all.n));
}

static void try_form(slice in, char *room, char *back)
{
    slice rest = in, text, again;
    for (struct form_pair pair; form_next(&rest, &pair);) {
        check_within(in, pair.name);
        check_within(in, pair.value);
    }
    (void)form_decode(in, room, &text);
    BUG_ON(text.n > in.n);
    for (int is_form = 0; is_form < 2; is_form++) {
        struct fmt f = fmt_on(room, 3 * in.n);
        (is_form ? form_encode : form_encode_component)(in, &f);
        BUG_ON(f.full || !form_decode(fmt_done(&f), back, &again) || !slice_is(again, in));
    }
}

static void try_cookie(slice in, char *room)
{
    slice rest = in;
    for (slice name, value; cookie_next(&rest, &name, &value);) {
        check_within(in, name);
        check_within(in, value);
        struct cookie c = {name, value, value, name};
        struct fmt f = fmt_on(room, 3 * in.n + 40);
        const char *why;
        if (!cookie_put(&c, &f, &why))
            continue;
        BUG_ON(f.full || slice_find(fmt_done(&f), '\n') >= 0);
        slice line = fmt_done(&f), n, v;
        BUG_ON(!cookie_next(&line, &n, &v) || !slice_is(n, name) || !slice_is(v, value));
    }
}

static void try_params(slice in, char *room)
{
    slice rest;
    struct field_param p;
    check_within(in, field_value_of(in, &rest));
    size_t count = 0;
    while (field_param_next(&rest, &p) > 0) {
        check_within(in, p.name);
        check_within(in, p.value);
        BUG_ON(!p.name.n || ++count > in.n);
        BUG_ON(field_param_unquote(p.value, room).n > p.value.n);
    }
}

static void try_codes(slice in, char *room, char *back)
{
    for (enum base64_form form = BASE64; form <= BASE64_URL_PAD; form++) {
        struct fmt f = fmt_on(room, base64_bytes_max(in.n)), g = fmt_on(back, in.n);
        if (!base64_read(in, form, &f))
            continue;
        base64_put(fmt_done(&f), form, &g);
        BUG_ON(g.full || !slice_is(fmt_done(&g), in));
    }
    struct fmt f = fmt_on(room, 2 * in.n), g = fmt_on(back, in.n);
    hex_put(in, &f);
    BUG_ON(f.full || !hex_read(fmt_done(&f), &g) || !slice_is(fmt_done(&g), in));
    g = fmt_on(back, in.n);
    if (hex_read(in, &g))
        BUG_ON(fmt_done(&g).n != in.n / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice in = slice_of(size ? (const char *)data : "", size);
    char *room = malloc(3 * size + 40), *back = malloc(3 * size + 1);
    BUG_ON(!room || !back);
    try_form(in, room, back);
    try_cookie(in, room);
    try_params(in, room);
    try_codes(in, room, back);
    free(room);
    free(back);
    return 0;
}
