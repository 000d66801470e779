/* rand: unpredictable bytes from the kernel, and a seedable generator for simulations. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include "base/defs.h"

/* Unpredictable. Cannot fail: without the kernel's randomness the process ends with a message. */
void rand_fill(void *p, size_t n);

/* Predictable, for tests: the same seed gives the same numbers everywhere (splitmix64). */
struct prng {
    uint64_t state;
};
uint64_t prng_next(struct prng *g);

/* Evenly from 0 to n-1; n > 0. */
uint64_t prng_below(struct prng *g, uint64_t n);

#endif
