/* store_file: the journal's file: records as bytes, and the few system calls. For service/store_*.c
 * only.
 *
 * Functions that take no store may be called by any thread. */
#ifndef SERVICE_STORE_FILE_H
#define SERVICE_STORE_FILE_H

#include "service/store_parts.h"

#define STORE_FILE_HEAD  ((size_t)24)
#define STORE_RECORD_MAX (STORE_RECORD_BYTES + STORE_KEY_MAX + STORE_VALUE_MAX)

/* The head of a file with this salt; the checksum that its records begin with. */
void store_head_put(char to[STORE_FILE_HEAD], uint64_t salt);
MUST_USE bool store_head_get(const char from[STORE_FILE_HEAD], uint32_t *seed_out);
uint32_t store_file_seed(uint64_t salt);

static inline size_t store_record_bytes(const struct store_change *c)
{
    return STORE_RECORD_BYTES + c->key.n + c->bytes.n;
}

/* [to] has room for store_record_bytes. */
void store_record_put(char *to, uint32_t seed, const struct store_change *c);

/* > 0: its length, and the change, whose slices point into [in]; 0: it is longer than [in]
 * (*wants_out: so many bytes); < 0: it is none. */
MUST_USE ssize_t store_record_get(slice in, uint32_t seed, struct store_change *out,
                                  size_t *wants_out);

/* The record that says: all before [offset] is on the disk. */
void store_mark_put(char to[STORE_RECORD_BYTES], uint32_t seed, uint64_t offset);

/* ---- System calls: 0 or -errno. store_disk.c ---- */

/* A new file under this name (an old one is overwritten), locked, with its head; >= 0: the
 * descriptor. */
MUST_USE int store_disk_create(const char *path, uint64_t salt);
/* The one that is there, locked; -EWOULDBLOCK: by somebody else. */
MUST_USE int store_disk_open(const char *path);
MUST_USE int store_disk_write(int fd, uint64_t offset, slice bytes);
/* Writes [mark] and [bytes] there and waits for the disk. On failure the file is as it was, or
 * *is_lost_out: nobody knows what it holds. */
MUST_USE int store_disk_append(int fd, uint64_t offset, slice mark, slice bytes, bool *is_lost_out);
/* Waits for the disk and gives the file its name. *is_renamed_out may be true on failure too. */
MUST_USE int store_disk_publish(int fd, const char *from, const char *to, bool *is_renamed_out);
/* Nothing after [bytes] remains; all before is on the disk. */
MUST_USE int store_disk_cut(int fd, uint64_t bytes);

/* ---- Reading it into a store. store_replay.c ---- */

struct store_replay {
    /* public */
    struct store *store;
    struct mem_owner *owner; /* of the buffer */
    const char *path;        /* for messages */
    int fd;
    bool skips_damage;
    /* results */
    uint32_t seed;
    uint64_t bytes;  /* of the file, without its torn end */
    uint64_t offset; /* where the error is */
    bool had_damage; /* and it was skipped */
    bool is_empty;   /* not even a head: to be made anew */
    /* private */
    uint64_t size, at; /* at: of the next record */
    char *buffer;
    size_t cap, from, n; /* in the buffer: n bytes from [from] */
};

/* See store_journal_open. */
MUST_USE int store_replay(struct store_replay *r);

#endif
