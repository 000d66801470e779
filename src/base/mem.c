/* mem: accounts over malloc. */
#include "base/mem.h"

#include "base/check.h"

void mem_book_init(struct mem_book *book, size_t budget)
{
    *book = (struct mem_book){.budget = budget, .high = SIZE_MAX};
    list_init(&book->owners);
}

void mem_book_fini(struct mem_book *book)
{
    BUG_ON(!list_is_empty(&book->owners));
    BUG_ON(book->bytes != 0);
}

void mem_owner_init(struct mem_owner *o, struct mem_book *book, const char *name)
{
    *o = (struct mem_owner){.name = name, .book = book};
    list_push_back(&book->owners, &o->link);
}

void mem_owner_fini(struct mem_owner *o)
{
    if (o->bytes != 0)
        check_bug(o->name, __FILE__, __LINE__); /* a leak: names the owner */
    list_remove(&o->link);
}

static bool fault_is_due(struct mem_book *book)
{
    if (LIKELY(book->fail_at == 0))
        return false;
    if (book->fail_at > 1) {
        book->fail_at--;
        return false;
    }
    if (!book->fail_forever)
        book->fail_at = 0;
    return true;
}

static void add(struct mem_owner *o, size_t n)
{
    struct mem_book *book = o->book;
    o->bytes += n;
    book->bytes += n;
    if (o->bytes > o->peak)
        o->peak = o->bytes;
    if (book->bytes > book->peak)
        book->peak = book->bytes;
    if (UNLIKELY(book->bytes > book->high))
        book->on_high(book);
}

bool mem_charge(struct mem_owner *o, size_t n)
{
    struct mem_book *book = o->book;
    bool over = book->budget && (n > book->budget || book->bytes > book->budget - n);
    if (UNLIKELY(over || fault_is_due(book))) {
        book->refused++;
        return false;
    }
    add(o, n);
    return true;
}

void mem_discharge(struct mem_owner *o, size_t n)
{
    BUG_ON(o->bytes < n);
    o->bytes -= n;
    o->book->bytes -= n;
}

void *mem_alloc(struct mem_owner *o, size_t n)
{
    BUG_ON(n == 0);
    if (!mem_charge(o, n))
        return NULL;
    void *p = malloc(n);
    if (UNLIKELY(!p)) {
        mem_discharge(o, n);
        o->book->refused++;
    }
    return p;
}

void *mem_alloc0(struct mem_owner *o, size_t n)
{
    void *p = mem_alloc(o, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *mem_resize(struct mem_owner *o, void *p, size_t old_n, size_t new_n)
{
    BUG_ON(new_n == 0);
    if (!mem_charge(o, new_n))
        return NULL;
    void *q = realloc(p, new_n);
    mem_discharge(o, q ? old_n : new_n);
    return q;
}

void mem_free(struct mem_owner *o, void *p, size_t n)
{
    if (!p)
        return;
    mem_discharge(o, n);
    free(p);
}

void *mem_raw_alloc(size_t n)
{
    return malloc(n);
}

void *mem_raw_resize(void *p, size_t n)
{
    return realloc(p, n);
}

void mem_raw_free(void *p)
{
    free(p);
}

void mem_adopt(struct mem_owner *o, size_t n)
{
    add(o, n);
}
