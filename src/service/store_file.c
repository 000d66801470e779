/* store_file: records as bytes.
 *
 *     0 checksum  4 length of what follows  8 operation  9 type  10 bytes of the key  12 argument
 * 20 key, value
 *
 * The checksum begins with the file's salt, which nobody outside knows: no value that a peer has
 * chosen can look like a record. */
#include "service/store_file.h"

#include "base/crc32c.h"

#include <endian.h>

#define BEFORE_LENGTH_ENDS 8

static const char magic[8] = "MedStor1";

static void put32(char *to, uint32_t v)
{
    v = htole32(v);
    memcpy(to, &v, 4);
}

static uint32_t get32(const char *from)
{
    uint32_t v;
    memcpy(&v, from, 4);
    return le32toh(v);
}

static void put64(char *to, uint64_t v)
{
    v = htole64(v);
    memcpy(to, &v, 8);
}

static uint64_t get64(const char *from)
{
    uint64_t v;
    memcpy(&v, from, 8);
    return le64toh(v);
}

uint32_t store_file_seed(uint64_t salt)
{
    char bytes[8];
    put64(bytes, salt);
    return crc32c(0, slice_of(bytes, 8));
}

void store_head_put(char to[STORE_FILE_HEAD], uint64_t salt)
{
    memset(to, 0, STORE_FILE_HEAD);
    memcpy(to, magic, sizeof magic);
    put64(to + 8, salt);
    put32(to + 20, crc32c(0, slice_of(to, 20)));
}

bool store_head_get(const char from[STORE_FILE_HEAD], uint32_t *seed_out)
{
    *seed_out = store_file_seed(get64(from + 8));
    return memcmp(from, magic, sizeof magic) == 0 &&
           get32(from + 20) == crc32c(0, slice_of(from, 20));
}

void store_record_put(char *to, uint32_t seed, const struct store_change *c)
{
    size_t n = store_record_bytes(c);
    put32(to + 4, (uint32_t)(n - BEFORE_LENGTH_ENDS));
    to[8] = (char)c->op;
    to[9] = (char)c->type;
    to[10] = (char)(c->key.n & 0xff);
    to[11] = (char)(c->key.n >> 8);
    put64(to + 12, (uint64_t)c->arg);
    if (c->key.n)
        memcpy(to + STORE_RECORD_BYTES, c->key.p, c->key.n);
    if (c->bytes.n)
        memcpy(to + STORE_RECORD_BYTES + c->key.n, c->bytes.p, c->bytes.n);
    put32(to, crc32c(seed, slice_of(to + 4, n - 4)));
}

void store_mark_put(char to[STORE_RECORD_BYTES], uint32_t seed, uint64_t offset)
{
    struct store_change c = {.op = STORE_OP_SYNC, .arg = (int64_t)offset};
    store_record_put(to, seed, &c);
}

/* What our own writer never writes is no record, whatever its checksum. */
static bool is_sound(const struct store_change *c)
{
    bool is_time = c->op == STORE_OP_SET || c->op == STORE_OP_EXPIRE;
    return c->op >= STORE_OP_SET && c->op <= STORE_OP_SYNC && c->arg >= 0 &&
           c->key.n <= STORE_KEY_MAX && c->bytes.n <= STORE_VALUE_MAX &&
           (!is_time || c->arg < (int64_t)1 << 60);
}

ssize_t store_record_get(slice in, uint32_t seed, struct store_change *out, size_t *wants_out)
{
    *wants_out = STORE_RECORD_BYTES;
    if (in.n < STORE_RECORD_BYTES)
        return 0;
    size_t n = BEFORE_LENGTH_ENDS + (size_t)get32(in.p + 4);
    size_t key_bytes = (unsigned char)in.p[10] | (size_t)(unsigned char)in.p[11] << 8;
    if (n < STORE_RECORD_BYTES + key_bytes || n > STORE_RECORD_MAX)
        return -1;
    *wants_out = n;
    if (in.n < n)
        return 0;
    slice rest = slice_of(in.p + STORE_RECORD_BYTES, n - STORE_RECORD_BYTES);
    *out = (struct store_change){.op = (enum store_op)(unsigned char)in.p[8],
                                 .type = (uint8_t)in.p[9],
                                 .arg = (int64_t)get64(in.p + 12),
                                 .key = slice_head(rest, key_bytes),
                                 .bytes = slice_skip(rest, key_bytes)};
    bool is_whole = get32(in.p) == crc32c(seed, slice_of(in.p + 4, n - 4));
    return is_whole && is_sound(out) ? (ssize_t)n : -1;
}
