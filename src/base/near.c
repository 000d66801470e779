/* near: edit distance (optimal string alignment). */
#include "base/near.h"

#define WORD_MAX 32

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    return MIN(MIN(a, b), c);
}

static unsigned distance(slice a, slice b)
{
    unsigned rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b.n; j++)
        rows[1][j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned *before = rows[(i + 2) % 3], *last = rows[i % 3], *now = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned change = a.p[i - 1] != b.p[j - 1];
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + change);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                now[j] = MIN(now[j], before[j - 2] + 1);
        }
    }
    return rows[(a.n + 1) % 3][b.n];
}

int near_word(slice typed, const slice *words, size_t count)
{
    int best = -1;
    unsigned least = (unsigned)(typed.n / 3) + 2; /* more edits than this is another word */
    for (size_t i = 0; i < count; i++) {
        if (typed.n > WORD_MAX || words[i].n > WORD_MAX)
            continue;
        unsigned d = distance(typed, words[i]);
        if (d < least) {
            least = d;
            best = (int)i;
        }
    }
    return best;
}
