/* store_number: values that are numbers, and adding to them. Little endian everywhere: the journal
 * may be read on another machine. */
#include "service/store_parts.h"

#include <endian.h>
#include <errno.h>
#include <math.h>

struct store_value store_int(int64_t number, char room[8])
{
    uint64_t bits = htole64((uint64_t)number);
    memcpy(room, &bits, 8);
    return (struct store_value){.type = STORE_INT, .bytes = slice_of(room, 8)};
}

struct store_value store_double(double number, char room[8])
{
    uint64_t bits;
    memcpy(&bits, &number, 8);
    bits = htole64(bits);
    memcpy(room, &bits, 8);
    return (struct store_value){.type = STORE_DOUBLE, .bytes = slice_of(room, 8)};
}

static uint64_t bits_of(const struct store_value *v)
{
    uint64_t bits;
    memcpy(&bits, v->bytes.p, 8);
    return le64toh(bits);
}

bool store_is_int(const struct store_value *v, int64_t *out)
{
    if (v->type != STORE_INT || v->bytes.n != 8)
        return false;
    *out = (int64_t)bits_of(v);
    return true;
}

bool store_is_double(const struct store_value *v, double *out)
{
    if (v->type != STORE_DOUBLE || v->bytes.n != 8)
        return false;
    uint64_t bits = bits_of(v);
    memcpy(out, &bits, 8);
    return true;
}

/* The number is as long as the one before, so nothing is allocated. */
static int put_number(struct store *s, struct store_entry *e, slice key, struct store_value v)
{
    if (!e)
        return store_set(s, key, v, 0, STORE_IF_ABSENT);
    e->item.type = v.type;
    memcpy(e->item.small, v.bytes.p, 8);
    struct store_change c = {.op = STORE_OP_SET,
                             .type = v.type,
                             .key = store_node_key(&e->node),
                             .arg = store_expires_at(e),
                             .bytes = store_item_bytes(&e->item)};
    store_changed(s, e, &c);
    return 0;
}

int store_incr(struct store *s, slice key, int64_t by, int64_t *result_out)
{
    struct store_entry *e = store_find(s, key);
    int64_t now = 0;
    char room[8];
    if (e && e->is_list)
        return -EPROTOTYPE;
    if (e) {
        struct store_value v = store_item_value(&e->item);
        if (!store_is_int(&v, &now))
            return -EPROTOTYPE;
    }
    if (__builtin_add_overflow(now, by, &now))
        return -ERANGE;
    int error = put_number(s, e, key, store_int(now, room));
    if (!error)
        *result_out = now;
    return error;
}

/* Of either kind. */
static bool is_number(const struct store_entry *e, double *out)
{
    int64_t whole;
    struct store_value v = store_item_value(&e->item);
    if (store_is_double(&v, out))
        return true;
    if (!store_is_int(&v, &whole))
        return false;
    *out = (double)whole;
    return true;
}

int store_incr_double(struct store *s, slice key, double by, double *result_out)
{
    struct store_entry *e = store_find(s, key);
    double now = 0;
    char room[8];
    if (e && (e->is_list || !is_number(e, &now)))
        return -EPROTOTYPE;
    now += by;
    if (!isfinite(now))
        return -ERANGE;
    int error = put_number(s, e, key, store_double(now, room));
    if (!error)
        *result_out = now;
    return error;
}
