/* mem: the accounting allocator. Every byte has a named owner, and the sum of all is kept in one
 * book.
 *
 * An owner is a struct of whoever allocates (streams, http, cache ...); the book is one per process
 * (or per test) and holds the budget. Frees name the size again, so accounts are exact and no
 * header is paid.
 *
 * Threads: accounts belong to the loop's thread. A worker allocates with mem_raw_alloc and the
 * loop's thread adopts the result when the job comes back.
 *
 * Out of memory (true, over the budget, or made by a test with book->fail_at) is NULL: the caller
 * fails its session, never the process. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/list.h"

struct mem_book {
    /* public */
    size_t budget; /* bytes that all owners together may hold; 0 = no limit */
    /* Told whenever more is charged than [high] (SIZE_MAX: never), from inside the allocation: it
     * may leave a note for later and nothing else. */
    size_t high;
    void *high_owner;
    void (*on_high)(struct mem_book *book);
    /* Fault injection for tests: 0 = off; n = the n-th allocation from now fails; then, if
     * fail_forever, all that follow. */
    uint64_t fail_at;
    bool fail_forever;
    /* read-only */
    size_t bytes;     /* held now by all owners */
    size_t peak;      /* the most there ever was */
    uint64_t refused; /* allocations that failed */
    struct list_node owners;
};

struct mem_owner {
    /* read-only */
    const char *name;
    size_t bytes;
    size_t peak;
    /* private */
    struct mem_book *book;
    struct list_node link;
};

void mem_book_init(struct mem_book *book, size_t budget);

/* Nobody may hold anything any more (BUG otherwise, with the owner's name: a leak). */
void mem_book_fini(struct mem_book *book);

/* [name] is a literal that lives as long as the owner. */
void mem_owner_init(struct mem_owner *o, struct mem_book *book, const char *name);

/* All has been freed (BUG otherwise). */
void mem_owner_fini(struct mem_owner *o);

/* Uninitialised memory, or NULL. [n] may not be 0. */
MUST_USE void *mem_alloc(struct mem_owner *o, size_t n);

/* Zeroed memory, or NULL. */
MUST_USE void *mem_alloc0(struct mem_owner *o, size_t n);

/* As realloc; on NULL the old block is untouched. */
MUST_USE void *mem_resize(struct mem_owner *o, void *p, size_t old_n, size_t new_n);

/* [n] is what was asked for. NULL is accepted. */
void mem_free(struct mem_owner *o, void *p, size_t n);

/* Charges [n] bytes that came another way (a slab of a pool); false = refused. Give back with
 * mem_discharge. */
MUST_USE bool mem_charge(struct mem_owner *o, size_t n);
void mem_discharge(struct mem_owner *o, size_t n);

/* For worker threads: memory without an account; the loop's thread then adopts it ([n] bytes,
 * mem_free frees it) or drops it. Adopting cannot fail: the bytes exist already. */
MUST_USE void *mem_raw_alloc(size_t n);
MUST_USE void *mem_raw_resize(void *p, size_t n);
void mem_raw_free(void *p);
void mem_adopt(struct mem_owner *o, size_t n);

#endif
