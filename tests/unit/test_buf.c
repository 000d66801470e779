/* buf: with an account, without one, and from one state to the other. */
#include "wire_test.h"

#include "base/buf.h"

struct accounts {
    struct mem_book book;
    struct mem_owner owner;
};

static void accounts_init(struct accounts *a)
{
    mem_book_init(&a->book, 0);
    mem_owner_init(&a->owner, &a->book, "test");
}

static void accounts_fini(struct accounts *a)
{
    mem_owner_fini(&a->owner);
    mem_book_fini(&a->book);
}

static void test_last_holder_frees(void **state)
{
    struct accounts a;
    accounts_init(&a);
    struct buf *b = buf_new(&a.owner, 100), *other = buf_hold(b);
    assert_int_equal(a.owner.bytes, sizeof *b + 100);
    buf_release(&b);
    assert_null(b);
    assert_int_equal(other->cap, 100);
    buf_release(&other);
    buf_release(&other);
    accounts_fini(&a);
}

static void test_made_without_account(void **state)
{
    struct accounts a;
    accounts_init(&a);
    struct buf *dropped = buf_new(NULL, 10), *b = buf_new(NULL, 10);
    buf_release(&dropped);
    assert_true(buf_resize(&b, 1000));
    assert_int_equal(a.book.bytes, 0);
    buf_adopt(b, &a.owner);
    assert_int_equal(a.owner.bytes, sizeof *b + 1000);
    buf_release(&b);
    accounts_fini(&a);
}

static void test_resize_keeps_content(void **state)
{
    struct accounts a;
    accounts_init(&a);
    struct buf *b = buf_new(&a.owner, 4);
    memcpy(b->p, "abc", 3);
    b->n = 3;
    assert_true(buf_resize(&b, 100000));
    assert_slice(buf_slice(b), SLICE("abc"));
    assert_int_equal(a.owner.bytes, sizeof *b + 100000);
    assert_true(buf_resize(&b, 3));
    assert_slice(buf_slice(b), SLICE("abc"));
    a.book.fail_at = 1;
    assert_false(buf_resize(&b, 10));
    assert_int_equal(b->cap, 3);
    assert_slice(buf_slice(b), SLICE("abc"));
    buf_release(&b);
    a.book.fail_at = 1;
    assert_null(buf_new(&a.owner, 10));
    accounts_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_holder_frees),
        cmocka_unit_test(test_made_without_account),
        cmocka_unit_test(test_resize_keeps_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
