/* Anything as the journal of a store: it is read, refused or cut, and what was read can be used;
 * nothing is kept. The first byte says whether the records get right checksums (else hardly one
 * would be looked at), and whether damage is skipped. */
#include "base/check.h"
#include "loop/loop_sim.h"
#include "service/store_file.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SEALED  1
#define SKIPPED 2

/* Each record gets the checksum that it ought to have, as far as lengths lead. */
static void seal(char *p, size_t n, uint32_t seed)
{
    while (n >= STORE_RECORD_BYTES) {
        struct store_change c = {.op = (enum store_op)(unsigned char)p[8], .type = (uint8_t)p[9]};
        size_t bytes = 8 + ((unsigned char)p[4] | (size_t)(unsigned char)p[5] << 8);
        size_t key = (unsigned char)p[10] | (size_t)(unsigned char)p[11] << 8;
        if (bytes < STORE_RECORD_BYTES + key || bytes > n)
            return;
        char *record = malloc(bytes);
        BUG_ON(!record);
        uint64_t arg;
        memcpy(&arg, p + 12, 8);
        c.arg = (int64_t)arg;
        c.key = slice_of(p + STORE_RECORD_BYTES, key);
        c.bytes = slice_of(p + STORE_RECORD_BYTES + key, bytes - STORE_RECORD_BYTES - key);
        store_record_put(record, seed, &c);
        memcpy(p, record, bytes);
        free(record);
        p += bytes;
        n -= bytes;
    }
}

static int file_of(const uint8_t *data, size_t n, bool is_sealed)
{
    char head[STORE_FILE_HEAD];
    char *p = malloc(n + 1);
    int fd = memfd_create("journal", MFD_CLOEXEC);
    BUG_ON(!p || fd < 0);
    if (n)
        memcpy(p, data, n);
    store_head_put(head, 0);
    if (is_sealed)
        seal(p, n, store_file_seed(0));
    BUG_ON(write(fd, head, sizeof head) != sizeof head || write(fd, p, n) != (ssize_t)n);
    free(p);
    return fd;
}

/* All of it is asked for; what the lengths say is there. */
static void use(struct store *s)
{
    char key[STORE_KEY_MAX];
    slice at = {NULL, 0}, found;
    size_t seen = 0;
    while (store_next(s, SLICE(""), at, &found)) {
        struct store_value v;
        size_t length;
        if (found.n)
            memcpy(key, found.p, found.n);
        at = slice_of(key, found.n);
        seen++;
        ssize_t items = store_length(s, at);
        BUG_ON(items == 0);
        BUG_ON(items > 0 && store_index(s, at, items - 1, &v) != 0);
        BUG_ON(items < 0 && store_get(s, at, &v) != 0);
        BUG_ON(items > 0 && store_push(s, STORE_LEFT, at, v, &length) != 0);
    }
    BUG_ON(seen != store_count(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1)
        return 0;
    struct mem_book book;
    struct log log = {.level = LOG_ERROR};
    struct loop_sim_settings calm = {.seed = 1};
    mem_book_init(&book, 0);
    struct loop_sim *sim = loop_sim_new(&calm);
    struct loop *loop = loop_new_on(loop_sim_backend(sim), &book, &log);
    struct mem_owner owner;
    mem_owner_init(&owner, &book, "replay");
    struct store *s = store_new(loop, 0);
    BUG_ON(!s);
    struct store_replay r = {.store = s,
                             .owner = &owner,
                             .path = "fuzz",
                             .fd = file_of(data + 1, n - 1, data[0] & SEALED),
                             .skips_damage = data[0] & SKIPPED};
    int error = store_replay(&r);
    BUG_ON(error && store_count(s) != 0);
    use(s);
    loop_sim_advance(sim, 1000);
    use(s);
    close(r.fd);
    store_close(&s, NULL, NULL);
    loop_sim_settle(sim);
    mem_owner_fini(&owner);
    loop_free(&loop);
    mem_book_fini(&book);
    return 0;
}
