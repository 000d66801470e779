/* fmt: the one bounds-checked writer. All text that leaves the program is built through it.
 *
 * It writes into room that the caller owns and never past its end. What does not fit is dropped
 * whole and [full] stays set from then on: check it once, at the end. Nothing is NUL-terminated. */
#ifndef BASE_FMT_H
#define BASE_FMT_H

#include "base/slice.h"

struct fmt {
    char *start, *p, *end;
    bool full;
};

static inline struct fmt fmt_on(char *room, size_t n)
{
    return (struct fmt){.start = room, .p = room, .end = room + n};
}

static inline slice fmt_done(const struct fmt *f)
{
    return slice_of(f->start, (size_t)(f->p - f->start));
}

static inline size_t fmt_room(const struct fmt *f)
{
    return (size_t)(f->end - f->p);
}

static inline void fmt_put(struct fmt *f, slice s)
{
    if (UNLIKELY(s.n > fmt_room(f) || f->full)) {
        f->full = true;
        return;
    }
    if (s.n)
        memcpy(f->p, s.p, s.n);
    f->p += s.n;
}

static inline void fmt_char(struct fmt *f, char c)
{
    fmt_put(f, slice_of(&c, 1));
}

static inline void fmt_str(struct fmt *f, const char *s)
{
    fmt_put(f, slice_str(s));
}

/* Decimal. */
void fmt_u64(struct fmt *f, uint64_t value);

/* Decimal with zeros in front, at least [width] digits (at most 20). */
void fmt_u64_wide(struct fmt *f, uint64_t value, unsigned width);

/* Lower-case hexadecimal, no leading zeros. */
void fmt_hex(struct fmt *f, uint64_t value);

/* As printf. Long results are dropped whole like everything else. */
PRINTF(2, 3) void fmt_printf(struct fmt *f, const char *format, ...);

#endif
