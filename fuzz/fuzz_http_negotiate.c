/* fuzz_http_negotiate: the field values that a client negotiates with: ranges, conditions, dates,
 * Accept.
 *
 * Input: a byte of flags and 8 bytes of size, then lines; each line plays every field. What holds
 * for any input: ranges lie within, apart, and sum up to no more than the size; a date that is read
 * is written and read again as the same second; 304 only for GET; a weight is 0 to 1000. */
#include "base/check.h"
#include "wire/http_accept.h"
#include "wire/http_cond.h"
#include "wire/http_date.h"
#include "wire/http_range.h"

#define NOW  INT64_C(1704067200)
#define HEAD 9

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_range(slice value, uint64_t size)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    unsigned count = 99;
    uint64_t sum = 0;
    enum http_range_result result = http_range_parse(value, size, ranges, &count);
    BUG_ON(result == RANGE_OK ? count == 0 || count > HTTP_RANGES_MAX : count != 0);
    for (unsigned i = 0; i < count; i++) {
        BUG_ON(ranges[i].first > ranges[i].last || ranges[i].last >= size);
        sum += ranges[i].last - ranges[i].first + 1;
        for (unsigned j = 0; j < i; j++)
            BUG_ON(ranges[i].first <= ranges[j].last && ranges[j].first <= ranges[i].last);
    }
    BUG_ON(sum > size);
}

static void try_date(slice value)
{
    char room[HTTP_DATE_BYTES];
    int64_t time, again;
    if (!http_date_parse(value, NOW, &time))
        return;
    struct fmt f = fmt_on(room, sizeof room);
    http_date_put(&f, time);
    BUG_ON(f.full || fmt_done(&f).n != HTTP_DATE_BYTES);
    BUG_ON(!http_date_parse(fmt_done(&f), NOW, &again));
    BUG_ON(again != time && time <= INT64_C(253402300799)); /* 23:59:60 of the last day there is */
}

static void try_conditions(const slice value[5], const struct http_validators *v)
{
    const struct http_conditions c = {value[0], value[1], value[2], value[3], value[4]};
    enum http_cond_result get = http_cond_check(&c, v, true, NOW);
    enum http_cond_result put = http_cond_check(&c, v, false, NOW);
    BUG_ON(put == COND_NOT_MODIFIED);
    BUG_ON(get == COND_FAILED && put != COND_FAILED);
    (void)http_cond_check(&c, NULL, true, NOW);
    (void)http_cond_if_range(c.if_range, v, NOW);
}

static void try_accept(slice value, unsigned available)
{
    unsigned coding = http_accept_coding(value, available);
    BUG_ON(coding >= CODING_COUNT);
    BUG_ON(coding != CODING_IDENTITY && !(available & 1u << coding));
    int html = http_accept_quality(value, SLICE("text/html"));
    int json = http_accept_quality(value, SLICE("application/json"));
    BUG_ON(html < 0 || html > 1000 || json < 0 || json > 1000);
    BUG_ON(http_accept_prefers_json(value) && (json == 0 || json < html));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    slice in = slice_skip(slice_of(data, size), HEAD);
    uint64_t length;
    memcpy(&length, data + 1, sizeof length);
    slice recent[5] = {{NULL, 0}};
    struct http_validators v = {SLICE("\"abc\""), 784111777};
    if (data[0] & 1)
        v.last_modified = -1;
    unsigned n = 0;
    for (slice line; slice_cut(&in, '\n', &line); n++) {
        recent[n % 5] = line;
        if (data[0] & 2)
            v.etag = line;
        try_range(line, length);
        try_range(line, length % 4096);
        try_date(line);
        try_accept(line, data[0] >> 4);
        try_conditions(recent, &v);
    }
    return 0;
}
