/* rand: getrandom and splitmix64. */
#include "base/rand.h"

#include "base/check.h"

#include <errno.h>
#include <sys/random.h>

void rand_fill(void *p, size_t n)
{
    char *at = p;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        BUG_ON(got <= 0); /* Linux 3.17 and later always answer */
        at += got;
        n -= (size_t)got;
    }
}

uint64_t prng_next(struct prng *g)
{
    uint64_t z = g->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t prng_below(struct prng *g, uint64_t n)
{
    return (uint64_t)((unsigned __int128)prng_next(g) * n >> 64);
}
