/* store_journal_parts: what the files of the journal share. For service/store_journal*.c only. */
#ifndef SERVICE_STORE_JOURNAL_PARTS_H
#define SERVICE_STORE_JOURNAL_PARTS_H

#include "service/store_file.h"
#include "service/store_journal.h"

/* Records on their way. */
struct journal_bytes {
    char *p;
    size_t n, cap;
};

/* A file and what it is still to get. */
struct journal_side {
    int fd; /* -1 = closed */
    uint32_t seed;
    uint64_t bytes;               /* in the file, for certain */
    struct journal_bytes pending; /* not handed to the disk */
    struct journal_bytes writing; /* handed; kept until it is there */
};

/* What the worker is asked to do; it touches this and the descriptors only. */
enum journal_task {
    JOURNAL_APPEND,
    JOURNAL_CREATE,
    JOURNAL_WRITE,
    JOURNAL_PUBLISH,
    JOURNAL_DISCARD,
    JOURNAL_CLOSE
};

struct journal_job {
    struct work_job job;
    enum journal_task task;
    int fd, old_fd;
    uint64_t offset, salt;
    slice bytes;
    char mark[STORE_RECORD_BYTES];
    /* result: the descriptor or 0, or -errno */
    int result;
    bool is_lost, is_renamed;
};

enum rewrite_phase {
    REWRITE_NONE,
    REWRITE_CREATING,
    REWRITE_COPYING,   /* all up to the cursor is in the new file */
    REWRITE_FINISHING, /* all is; it gets its name */
};

struct store_journal {
    struct store *store;
    struct mem_owner owner;
    struct work_lane *lane;
    struct journal_job job;
    struct timeout timer;
    int64_t interval_ms, retry_ms;
    size_t pending_max, compact_min, slice_bytes;
    slice prefixes[STORE_PREFIXES_MAX];
    size_t prefix_count;
    uint64_t noted;        /* number of the last change */
    uint64_t writing_upto; /* the last one that is being appended */
    uint64_t durable;      /* the last one that is on disk */
    struct journal_side now, next;
    bool is_away; /* the job */
    bool is_due;  /* the time to write has come */
    bool is_lost; /* the file cannot be continued: only a new one helps */
    bool is_rewrite_told;
    bool is_told; /* of the trouble */
    bool is_closing, gave_up;
    /* writing it anew */
    enum rewrite_phase phase;
    bool is_broken;        /* this attempt cannot succeed any more */
    int rewrite_error;     /* why */
    int64_t rewrite_at_ms; /* not before */
    uint64_t copied_upto;
    bool has_cursor,
        is_partial; /* is_partial: the cursor's list, but for its first [index] items, is to come */
    uint32_t index;
    uint16_t cursor_bytes;
    char cursor[STORE_KEY_MAX];
    /* figures */
    uint64_t groups, rewrites, errors;
    int error;
    void (*then)(struct store *s);
    char *path, *new_path; /* in one allocation with the prefixes' bytes, after this struct */
    size_t total_bytes;
};

/* Its job and its timer. */
void journal_init(struct store_journal *j);
/* The time to write comes in [ms], unless it is set already. */
void journal_arm(struct store_journal *j, int64_t ms);

/* Appends a record; false without memory. */
MUST_USE bool journal_put(struct store_journal *j, struct journal_side *side,
                          const struct store_change *c);
void journal_bytes_free(struct store_journal *j, struct journal_bytes *b);

/* ---- Writing anew: store_journal_copy.c ---- */

/* Must the new file, too, hear of this change? *c becomes what it has to hear. */
MUST_USE bool journal_forwards(struct store_journal *j, struct store_change *c);

enum copy_result { COPY_MORE, COPY_ALL, COPY_FAILED };
/* Puts the next slice of the data into next.pending. */
enum copy_result journal_copy(struct store_journal *j);

#endif
