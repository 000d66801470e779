/* proxyproto: both versions; each header whole, byte by byte, and with bytes of the next protocol
 * behind it. */
#include "wire_test.h"

#include "wire/proxyproto.h"

#define BAD       (-1)
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4_BLOCK  "\x0a\x00\x00\x01\xc0\x00\x02\x02\x1f\x90\x01\xbb"
#define V6_ONE    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_TWO    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define V6_BLOCK  V6_ONE V6_TWO "\xff\xff\0\0"

struct row {
    slice in;
    ssize_t result;
    struct proxyproto expected; /* when result > 0 */
};

/* What the parser says when bytes come one at a time, each answer over everything so far. */
static ssize_t parse_slowly(slice in, struct proxyproto *out)
{
    for (size_t n = 0; n <= in.n; n++) {
        slice part = exact_copy(slice_head(in, n));
        ssize_t result = proxyproto_parse(part, out);
        exact_free(part);
        if (result)
            return result;
    }
    return 0;
}

/* Split at [at]: a first call that must wait or refuse, then the whole. */
static ssize_t parse_split(slice in, size_t at, struct proxyproto *out)
{
    slice part = exact_copy(slice_head(in, at));
    ssize_t result = proxyproto_parse(part, out);
    exact_free(part);
    return result ? result : proxyproto_parse(in, out);
}

static bool is_same(const struct proxyproto *a, const struct proxyproto *b)
{
    return a->family == b->family && a->is_local == b->is_local &&
           memcmp(a->source, b->source, 16) == 0 &&
           memcmp(a->destination, b->destination, 16) == 0 && a->source_port == b->source_port &&
           a->destination_port == b->destination_port;
}

static void check(const struct row *row, size_t i, ssize_t result, const struct proxyproto *got)
{
    static const struct proxyproto untouched = {.family = 99};
    const struct proxyproto *expected = row->result > 0 ? &row->expected : &untouched;
    if (result == row->result && is_same(got, expected))
        return;
    print_error("got %zd, expected %zd\n", result, row->result);
    ROW_FAILED(i, row->in);
}

static void check_rows(const struct row *rows, size_t count)
{
    char room[8192];
    for (size_t i = 0; i < count; i++) {
        struct proxyproto got = {.family = 99};
        slice in = exact_copy(rows[i].in);
        check(&rows[i], i, proxyproto_parse(in, &got), &got);
        got = (struct proxyproto){.family = 99};
        check(&rows[i], i, parse_slowly(in, &got), &got);
        for (size_t at = 0; at <= in.n; at++) {
            got = (struct proxyproto){.family = 99};
            check(&rows[i], i, parse_split(in, at, &got), &got);
        }
        exact_free(in);
        if (rows[i].result <= 0)
            continue;
        struct fmt f = fmt_on(room, sizeof room);
        fmt_put(&f, rows[i].in);
        fmt_str(&f, "GET / HTTP/1.1\r\n\r\n");
        got = (struct proxyproto){.family = 99};
        check(&rows[i], i, proxyproto_parse(fmt_done(&f), &got), &got);
    }
}

static void test_proxyproto_v1(void **state)
{
    static const struct row rows[] = {
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 8080 443\r\n"),
         40,
         {4, false, "\x0a\x00\x00\x01", "\xc0\x00\x02\x02", 8080, 443}},
        {SLICE("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"),
         44,
         {4, false, "\xff\xff\xff\xff", "", 65535, 0}},
        {SLICE("PROXY TCP6 2001:db8::1 2001:DB8:0:0:0:0:0:2 65535 0\r\n"),
         53,
         {6, false, V6_ONE, V6_TWO, 65535, 0}},
        {SLICE("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::1 65535 65535\r\n"),
         68,
         {6, false, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
          "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 65535, 65535}},
        {SLICE("PROXY UNKNOWN\r\n"), 15, {0}},
        {SLICE("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), 59, {0}},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_proxyproto_v1_incomplete(void **state)
{
    static const struct row rows[] = {
        {SLICE(""), 0},
        {SLICE("P"), 0},
        {SLICE("PROXY"), 0},
        {SLICE("PROXY TCP4 10.0.0.1"), 0},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 8080 443\r"), 0},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_proxyproto_v1_malformed(void **state)
{
    static const struct row rows[] = {
        {SLICE("GET / HTTP/1.1\r\n\r\n"), BAD},
        {SLICE("proxy TCP4 10.0.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXYTCP4 10.0.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY\r\n"), BAD},
        {SLICE("PROXY \r\n"), BAD},
        {SLICE("PROXY TCP5 10.0.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY tcp4 10.0.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY UNKNOWNX\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 8080 443\n"), BAD},
        {SLICE("PROXY UNKNOWN\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 8080\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 8080 443 1\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 8080 443 \r\n"), BAD},
        {SLICE("PROXY TCP4  10.0.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1\t192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 010.0.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.256 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 0x0a.0.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 ::1 ::1 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1\0 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP6 10.0.0.1 192.0.2.2 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP6 ::1::2 ::1 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP6 fe80::1%lo ::1 8080 443\r\n"), BAD},
        {SLICE("PROXY TCP6 1111:1111:1111:1111:1111:1111:1111:1111:1111 ::1 1 1\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 65536 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 8080 65536\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 000080 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 -1 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2 +80 443\r\n"), BAD},
        {SLICE("PROXY TCP4 10.0.0.1 192.0.2.2  443\r\n"), BAD},
    };
    check_rows(rows, COUNT_OF(rows));
}

/* 107 bytes are the longest line; one more is refused as soon as it is sure. */
static void test_proxyproto_v1_length(void **state)
{
    char line[200];
    struct proxyproto out;
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(proxyproto_parse(slice_of(line, 106), &out), 0);
    assert_int_equal(proxyproto_parse(slice_of(line, 107), &out), BAD);
    memcpy(line + 105, "\r\n", 2);
    assert_int_equal(proxyproto_parse(slice_of(line, 106), &out), 0);
    assert_int_equal(proxyproto_parse(slice_of(line, sizeof line), &out), 107);
    memcpy(line + 105, "x\r\n", 3);
    assert_int_equal(proxyproto_parse(slice_of(line, sizeof line), &out), BAD);
}

static void test_proxyproto_v2(void **state)
{
    static const struct row rows[] = {
        {SLICE(SIGNATURE "\x21\x11\x00\x0c" V4_BLOCK),
         28,
         {4, false, "\x0a\x00\x00\x01", "\xc0\x00\x02\x02", 8080, 443}},
        {SLICE(SIGNATURE "\x21\x21\x00\x24" V6_BLOCK), 52, {6, false, V6_ONE, V6_TWO, 65535, 0}},
        /* LOCAL: whatever stands in the block, a wrong family too. */
        {SLICE(SIGNATURE "\x20\x00\x00\x00"), 16, {0, .is_local = true}},
        {SLICE(SIGNATURE "\x20\x11\x00\x0c" V4_BLOCK), 28, {0, .is_local = true}},
        {SLICE(SIGNATURE "\x20\xff\x00\x03xyz"), 19, {0, .is_local = true}},
        /* UNSPEC, and families that have no address of ours. */
        {SLICE(SIGNATURE "\x21\x00\x00\x00"), 16, {0}},
        {SLICE(SIGNATURE "\x21\x00\x00\x05xyzzy"), 21, {0}},
        {SLICE(SIGNATURE "\x21\x01\x00\x01x"), 17, {0}},
        {SLICE(SIGNATURE "\x21\x12\x00\x0c" V4_BLOCK), 28, {0}},
        {SLICE(SIGNATURE "\x21\x10\x00\x0c" V4_BLOCK), 28, {0}},
        /* TLVs: ALPN, an empty NOOP, an authority. */
        {SLICE(SIGNATURE "\x21\x11\x00\x1b" V4_BLOCK "\x01\x00\x02h2\x04\x00\x00\x02\x00\x04host"),
         43,
         {4, false, "\x0a\x00\x00\x01", "\xc0\x00\x02\x02", 8080, 443}},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_proxyproto_v2_unix(void **state)
{
    char in[16 + 216 + 3];
    struct fmt f = fmt_on(in, sizeof in);
    fmt_put(&f, SLICE(SIGNATURE "\x21\x31\x00\xd8"));
    memset(f.p, 'u', 216);
    const struct row row = {slice_of(in, 232), 232, {0}};
    check_rows(&row, 1);
    in[15] = (char)0xd7;
    const struct row too_short = {slice_of(in, 231), BAD};
    check_rows(&too_short, 1);
    in[15] = (char)0xdb;
    memcpy(in + 232, "\x04\x00\x01", 3);
    const struct row bad_tlv = {slice_of(in, 235), BAD};
    check_rows(&bad_tlv, 1);
}

static void test_proxyproto_v2_malformed(void **state)
{
    static const struct row rows[] = {
        {SLICE("\r"), 0},
        {SLICE(SIGNATURE), 0},
        {SLICE(SIGNATURE "\x21\x11\x00\x0c"
                         "\x0a\x00\x00\x01"),
         0},
        {SLICE("\r\n\r\n\0\r\nQUIX"), BAD},
        {SLICE("\n"), BAD},
        {SLICE(SIGNATURE "\x11\x11\x00\x0c" V4_BLOCK), BAD}, /* version */
        {SLICE(SIGNATURE "\x31\x11\x00\x0c" V4_BLOCK), BAD},
        {SLICE(SIGNATURE "\x22\x11\x00\x0c" V4_BLOCK), BAD}, /* command */
        {SLICE(SIGNATURE "\x21\x41\x00\x0c" V4_BLOCK), BAD}, /* family */
        {SLICE(SIGNATURE "\x21\x13\x00\x0c" V4_BLOCK), BAD}, /* transport */
        {SLICE(SIGNATURE "\x21\x11\x00\x0b" V4_BLOCK), BAD}, /* too short for its family */
        {SLICE(SIGNATURE "\x21\x11\x00\x00"), BAD},
        {SLICE(SIGNATURE "\x21\x21\x00\x0c" V4_BLOCK), BAD},
        {SLICE(SIGNATURE "\x21\x11\x10\x00" V4_BLOCK), BAD},        /* too long in all */
        {SLICE(SIGNATURE "\x21\x11\x00\x0d" V4_BLOCK "\x04"), BAD}, /* TLVs out of bounds */
        {SLICE(SIGNATURE "\x21\x11\x00\x0f" V4_BLOCK "\x04\x00\x01"), BAD},
        {SLICE(SIGNATURE "\x21\x11\x00\x10" V4_BLOCK "\x04\xff\xffx"), BAD},
    };
    check_rows(rows, COUNT_OF(rows));
}

/* Noise up to the greatest header, and one byte over it. */
static void test_proxyproto_v2_length(void **state)
{
    static char in[PROXYPROTO_MAX + 1];
    struct proxyproto out;
    struct fmt f = fmt_on(in, sizeof in);
    fmt_put(&f, SLICE(SIGNATURE "\x21\x11\x0f\xf0" V4_BLOCK "\x04\x0f\xe1"));
    assert_int_equal(proxyproto_parse(slice_of(in, PROXYPROTO_MAX - 1), &out), 0);
    assert_int_equal(proxyproto_parse(slice_of(in, PROXYPROTO_MAX), &out), PROXYPROTO_MAX);
    in[15] = (char)0xf1;
    assert_int_equal(proxyproto_parse(slice_of(in, 16), &out), BAD);
}

#define CRC_HEAD SIGNATURE "\x21\x11\x00\x13" V4_BLOCK "\x03\x00\x04"

static void test_proxyproto_v2_checksum(void **state)
{
    static const struct row rows[] = {
        /* The sum was computed by another implementation (of which "123456789" is e3069283). */
        {SLICE(CRC_HEAD "\x7c\x43\xa5\x02"),
         35,
         {4, false, "\x0a\x00\x00\x01", "\xc0\x00\x02\x02", 8080, 443}},
        {SLICE(CRC_HEAD "\x00\x00\x00\x00"), BAD},
        {SLICE(SIGNATURE "\x21\x11\x00\x12" V4_BLOCK "\x03\x00\x03\x00\x00\x00"), BAD},
        {SLICE(SIGNATURE "\x21\x11\x00\x1a" V4_BLOCK "\x03\x00\x04\x3f\xd7\x47\x31"
                         "\x03\x00\x04\x12\x34\x56\x78"),
         BAD},
    };
    check_rows(rows, COUNT_OF(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxyproto_v1),
        cmocka_unit_test(test_proxyproto_v1_incomplete),
        cmocka_unit_test(test_proxyproto_v1_malformed),
        cmocka_unit_test(test_proxyproto_v1_length),
        cmocka_unit_test(test_proxyproto_v2),
        cmocka_unit_test(test_proxyproto_v2_unix),
        cmocka_unit_test(test_proxyproto_v2_malformed),
        cmocka_unit_test(test_proxyproto_v2_length),
        cmocka_unit_test(test_proxyproto_v2_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
