/* store_journal: what a store holds, on disk: a file to which changes are appended, and which is
 * written anew when it has become more than twice as large as the data.
 *
 * A worker writes and syncs, in groups; the loop never waits for the disk, but for
 * store_journal_open. After a crash at any moment everything is there that store_sync has
 * confirmed, and nothing is there that was not changed in this order. A disk that fails is told in
 * the log once; the data goes on living in memory, and is written when the disk can be written to
 * again.
 *
 * The file, little endian: 24 bytes of head (magic, salt, checksum), then records: checksum
 * (CRC32C, begun with the salt), length, operation, type, bytes of the key, argument, key, value.
 * Each group is preceded by a record that says: all before this place is on the disk. So a bad
 * record can be told apart: at the end of the file it is what a crash has torn, which is cut;
 * before such a place it is damage. */
#ifndef SERVICE_STORE_JOURNAL_H
#define SERVICE_STORE_JOURNAL_H

#include "service/store.h"

struct store_journal_settings {
    const char
        *path; /* made when it is not there; beside it "[path].new" while it is written anew */
    const slice *prefixes; /* keys that begin with one of these are kept (copied) */
    size_t prefix_count;   /* 0: all keys; at most STORE_PREFIXES_MAX */
    int64_t interval_ms;   /* of writing; 0 = 1000 */
    int64_t retry_ms;      /* after an error; 0 = 5000 */
    size_t pending_max; /* bytes that may wait for the disk; 0 = 16 MiB. Beyond that the changes are
                         * no longer remembered one by one: the file is written anew. */
    size_t compact_min; /* smaller files are not written anew; 0 = 1 MiB */
    size_t slice_bytes; /* of the data that are put into the new file at once; 0 = 64 KiB */
    bool skips_damage;  /* damage is told and what follows it is read nevertheless; else it is an
                           error */
};

#define STORE_PREFIXES_MAX 64

/* Reads the file into [s], which is empty and has no journal yet (-EBUSY), and keeps it from now
 * on. It blocks: call it at start. Keys in the file that no prefix matches any more are read, and
 * no longer kept. The limit of the store does not hold for what is read. -EBADMSG: damaged, or no
 * journal at all: *offset_out (may be NULL) is where, the log tells it too; -EWOULDBLOCK: another
 * process has it open; -EMSGSIZE: the path, a prefix or their number; -ENOMEM; what open, read and
 * write return. The store is empty then, and the file as it was. */
MUST_USE int store_journal_open(struct store *s, const struct store_journal_settings *settings,
                                uint64_t *offset_out);

/* A wish to know when all that was changed until now is on disk. Embedded in its owner. */
struct store_sync {
    /* public */
    void (*done)(struct store_sync *sync,
                 int error); /* < 0: this attempt failed; it will be tried again */
    /* private */
    struct list_node link;
    struct store *store;
    uint64_t upto;
};

/* done is called once, in a later turn. Without a journal: -ENXIO there. */
void store_sync(struct store *s, struct store_sync *sync);
/* done will not be called. Harmless after it was. */
void store_sync_cancel(struct store_sync *sync);

struct store_journal_stats {
    uint64_t file_bytes, data_bytes; /* of the file; of one that held just the data */
    size_t pending_bytes;
    uint64_t groups, rewrites, errors;
    int error; /* of the last attempt: -errno, 0 = fine */
};
/* False: there is no journal. */
MUST_USE bool store_journal_stats(const struct store *s, struct store_journal_stats *out);

#endif
