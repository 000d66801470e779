/* error_page: our pages, the site's pages, and who gets which form. */
#include "wire_test.h"

#include "protocol/http/error_page.h"
#include "temp_dir.h"

#include <errno.h>

struct fixture {
    struct mem_book book;
    struct mem_owner owner;
    struct error_pages pages;
    struct temp_dir dir;
};

static int set_up(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    assert_non_null(x);
    mem_book_init(&x->book, 0);
    mem_owner_init(&x->owner, &x->book, "test");
    error_pages_init(&x->pages, &x->owner);
    temp_dir_make(&x->dir);
    *state = x;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *x = *state;
    error_pages_fini(&x->pages);
    mem_owner_fini(&x->owner);
    mem_book_fini(&x->book);
    temp_dir_remove(&x->dir);
    free(x);
    return 0;
}

static slice page(struct fixture *x, int status, bool html)
{
    struct buf *b = error_page(&x->pages, status, html);
    assert_non_null(b);
    return buf_slice(b);
}

static bool has(slice text, const char *what)
{
    return memmem(text.p, text.n, what, strlen(what)) != NULL;
}

/* Every status of the range has a page in both forms, whole and small. */
static void test_all_statuses(void **state)
{
    struct fixture *x = *state;
    for (int status = ERROR_PAGE_MIN; status <= ERROR_PAGE_MAX; status++) {
        slice html = page(x, status, true), text = page(x, status, false);
        char number[8];
        snprintf(number, sizeof number, "%d ", status);
        assert_true(slice_has_prefix(html, SLICE("<!doctype html>")));
        assert_true(slice_has_suffix(html, SLICE("</html>\n")));
        assert_true(has(html, number));
        assert_true(slice_has_prefix(text, slice_str(number)));
        assert_true(slice_has_suffix(text, SLICE(".\n")));
        assert_false(has(text, "<"));
        assert_true(html.n < 2048);
        assert_ptr_equal(page(x, status, true).p, html.p); /* made once */
    }
    assert_null(error_page(&x->pages, 399, true));
    assert_null(error_page(&x->pages, 600, true));
    assert_null(error_page(&x->pages, -1, true));
}

static void test_text_page(void **state)
{
    assert_slice(page(*state, 411, false),
                 SLICE("411 Length Required\nThe request must say how long its body is.\n"));
}

static void test_html_page(void **state)
{
    slice html = page(*state, 404, true);
    assert_true(has(html, "<title>404 Not Found</title>"));
    assert_true(has(html, "name=viewport"));
    assert_true(has(html, "prefers-color-scheme:dark"));
    assert_false(has(html, "<script"));
    assert_false(has(html, "http://"));
    assert_false(has(html, "https://"));
    assert_false(has(html, "Medusa"));
}

static void test_no_memory(void **state)
{
    struct fixture *x = *state;
    x->book.fail_at = 1;
    assert_null(error_page(&x->pages, 404, true));
    assert_non_null(error_page(&x->pages, 404, true));
}

static void test_own_pages(void **state)
{
    struct fixture *x = *state;
    int status = -1;
    slice ours = page(x, 403, true);
    assert_true(ours.n > 0);
    temp_write(&x->dir, "404.html", SLICE("<p>lost"));
    temp_write(&x->dir, "403.html", SLICE(""));
    temp_write(&x->dir, "599.html", SLICE("599"));
    static const char *const others[] = {"399.html", "600.html",  "40x.html", "404.htm",
                                         "+40.html", "0404.html", "README",   "404.html~"};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        temp_write(&x->dir, others[i], SLICE("not this"));
    assert_int_equal(error_pages_load(&x->pages, x->dir.path, &status), 3);
    assert_int_equal(status, 0);
    assert_slice(page(x, 404, true), SLICE("<p>lost"));
    assert_slice(page(x, 403, true), SLICE(""));
    assert_slice(page(x, 599, true), SLICE("599"));
    assert_true(has(page(x, 404, false), "404 Not Found"));
    assert_true(has(page(x, 405, true), "405"));
}

static void test_own_pages_that_cannot_be_taken(void **state)
{
    struct fixture *x = *state;
    int status = -1;
    static char large[ERROR_PAGE_FILE_MAX + 1];
    memset(large, 'x', sizeof large);
    assert_int_equal(error_pages_load(&x->pages, temp_path(&x->dir, "no"), &status), -ENOENT);
    assert_int_equal(status, 0);
    temp_write(&x->dir, "404.html", slice_of(large, sizeof large - 1));
    assert_int_equal(error_pages_load(&x->pages, x->dir.path, &status), 1);
    assert_int_equal(page(x, 404, true).n, ERROR_PAGE_FILE_MAX);
    temp_write(&x->dir, "404.html", slice_of(large, sizeof large));
    assert_int_equal(error_pages_load(&x->pages, x->dir.path, &status), -EFBIG);
    assert_int_equal(status, 404);
    assert_int_equal(remove(temp_path(&x->dir, "404.html")), 0);
    assert_int_equal(mkdir(temp_path(&x->dir, "500.html"), 0700), 0);
    assert_int_equal(error_pages_load(&x->pages, x->dir.path, &status), -EINVAL);
    assert_int_equal(remove(temp_path(&x->dir, "500.html")), 0);
    assert_int_equal(mkfifo(temp_path(&x->dir, "501.html"), 0700), 0);
    assert_int_equal(error_pages_load(&x->pages, x->dir.path, &status), -EINVAL);
    assert_int_equal(status, 501);
    assert_int_equal(remove(temp_path(&x->dir, "501.html")), 0);
    temp_write(&x->dir, "502.html", SLICE("x"));
    x->book.fail_at = 1;
    assert_int_equal(error_pages_load(&x->pages, x->dir.path, &status), -ENOMEM);
    assert_int_equal(page(x, 404, true).n, ERROR_PAGE_FILE_MAX);
}

static void test_who_wants_html(void **state)
{
    static const struct {
        slice accept;
        bool html;
    } rows[] = {
        {{NULL, 0}, false},
        {SLICE(""), false},
        {SLICE("*/*"), false},
        {SLICE("text/*"), false},
        {SLICE("text/plain, text/html"), false},
        {SLICE("text/plain"), false},
        {SLICE("application/json"), false},
        {SLICE("text/html;q=0"), false},
        {SLICE("text/html"), true},
        {SLICE("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), true},
        {SLICE("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"), true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (error_page_wants_html(rows[i].accept) != rows[i].html)
            ROW_FAILED(i, rows[i].accept);
}

#define WITH_PAGES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PAGES(test_all_statuses),
        WITH_PAGES(test_text_page),
        WITH_PAGES(test_html_page),
        WITH_PAGES(test_no_memory),
        WITH_PAGES(test_own_pages),
        WITH_PAGES(test_own_pages_that_cannot_be_taken),
        cmocka_unit_test(test_who_wants_html),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
