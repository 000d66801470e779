/* listing: what stands in the page and in the JSON, in which order, for any bytes of a name. */
#include "wire_test.h"

#include "protocol/http/listing.h"
#include "protocol/http/listing_icon.h"
#include "protocol/http/listing_sort.h"
#include "service/vfs.h"

#include "base/rand.h"

typedef struct buf *(*listing_fn)(struct mem_owner *owner, const struct listing_request *request);

static struct vfs_entry file(const char *name, uint64_t size, int64_t mtime_s)
{
    return (struct vfs_entry){slice_str(name), VFS_FILE, size, mtime_s};
}

static struct vfs_entry dir(const char *name, int64_t mtime_s)
{
    return (struct vfs_entry){slice_str(name), VFS_DIR, 4096, mtime_s};
}

static bool has(const struct buf *b, const char *what)
{
    return memmem(b->p, b->n, what, strlen(what)) != NULL;
}

/* A listing of one entry, at "/". */
static struct buf *of_one(listing_fn listing, struct vfs_entry e)
{
    struct vfs_list list = {.entries = &e, .count = 1};
    struct listing_request request = {.path = SLICE("/"), .list = &list};
    struct buf *b = listing(NULL, &request);
    assert_non_null(b);
    return b;
}

/* ---- Names ---- */

static const struct {
    slice name;
    const char *shown, *link, *json;
} names[] = {
    {SLICE("a.txt"), "a.txt", "a.txt", "a.txt"},
    {SLICE("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;",
     "%3Cscript%3Ealert(1)%3C/script%3E", "<script>alert(1)</script>"},
    {SLICE("\" onclick=\"x"), "&quot; onclick=&quot;x", "%22%20onclick=%22x", "\\\" onclick=\\\"x"},
    {SLICE("it's"), "it&#39;s", "it&#39;s", "it's"},
    {SLICE("a&lt;b"), "a&amp;lt;b", "a&amp;lt;b", "a&lt;b"},
    {SLICE("100%"), "100%", "100%25", "100%"},
    {SLICE("%2e%2e"), "%2e%2e", "%252e%252e", "%2e%2e"},
    {SLICE("what?#"), "what?#", "what%3F%23", "what?#"},
    {SLICE("javascript:alert(1)"), "javascript:alert(1)", "./javascript:alert(1)",
     "javascript:alert(1)"},
    {SLICE("a b+c"), "a b+c", "a%20b+c", "a b+c"},
    {SLICE("a\nb"), "a\nb", "a%0Ab", "a\\u000ab"},
    {SLICE("a\x01\x7f"), "a\xef\xbf\xbd\xef\xbf\xbd", "a%01%7F", "a\\u0001\\u007f"},
    {SLICE("back\\slash"), "back\\slash", "back%5Cslash", "back\\\\slash"},
    {SLICE("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
     "%C3%A4%E2%82%AC%F0%9F%98%80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    {SLICE("\xff\xc3(\xed\xa0\x80"),
     "\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "%FF%C3(%ED%A0%80",
     "\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
};

static void test_names_in_html(void **state)
{
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char expected[512];
        struct buf *b = of_one(listing_html, (struct vfs_entry){names[i].name, VFS_FILE, 1, 0});
        snprintf(expected, sizeof expected, "<a href=\"%s\"><svg", names[i].link);
        if (!has(b, expected))
            ROW_FAILED(i, slice_str(expected));
        snprintf(expected, sizeof expected, "<bdi>%s</bdi></a>", names[i].shown);
        if (!has(b, expected))
            ROW_FAILED(i, slice_str(expected));
        buf_release(&b);
        b = of_one(listing_html, (struct vfs_entry){names[i].name, VFS_DIR, 1, 0});
        snprintf(expected, sizeof expected, "<a href=\"%s/\"><svg class=d ", names[i].link);
        if (!has(b, expected))
            ROW_FAILED(i, slice_str(expected));
        buf_release(&b);
    }
}

static void test_names_in_json(void **state)
{
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char expected[512];
        struct buf *b = of_one(listing_json, (struct vfs_entry){names[i].name, VFS_FILE, 1, 0});
        snprintf(expected, sizeof expected,
                 "{\"path\":\"/\",\"entries\":[\n{\"name\":\"%s\",\"type\":\"file\",\"size\":1,"
                 "\"modified\":\"1970-01-01T00:00:00Z\"}\n],\"cut\":false}\n",
                 names[i].json);
        assert_slice(buf_slice(b), slice_str(expected));
        buf_release(&b);
    }
}

/* The path is shown in title, heading and crumbs; no bytes of it escape. */
static void test_path_is_escaped(void **state)
{
    struct vfs_list list = {0};
    struct listing_request request = {.path = SLICE("/<b>\"/\xff&/'x'/"), .list = &list};
    struct buf *b = listing_html(NULL, &request);
    assert_true(has(b, "<title>/&lt;b&gt;&quot;/\xef\xbf\xbd&amp;/&#39;x&#39;/</title>"));
    assert_true(has(b, "<h1><bdi>&#39;x&#39;</bdi></h1>"));
    assert_true(has(b, "<a href=\"../../../\"><bdi>Home</bdi></a><i>/</i>"
                       "<a href=\"../../\"><bdi>&lt;b&gt;&quot;</bdi></a><i>/</i>"
                       "<a href=\"../\"><bdi>\xef\xbf\xbd&amp;</bdi></a><i>/</i></nav>"));
    assert_false(has(b, "<b>"));
    buf_release(&b);
    b = listing_json(NULL, &request);
    assert_slice(
        buf_slice(b),
        SLICE("{\"path\":\"/<b>\\\"/\xef\xbf\xbd&/'x'/\",\"entries\":[\n],\"cut\":false}\n"));
    buf_release(&b);
}

/* Paths as long and as deep as there are: the page grows with them, not with their square. */
static void test_deep_path(void **state)
{
    char text[4096];
    for (size_t step = 2; step < 300; step += 59) {
        memset(text, '"', sizeof text);
        for (size_t i = 0; i < sizeof text; i += step)
            text[i] = '/';
        text[sizeof text - 1] = '/';
        if (text[sizeof text - 2] == '/')
            text[sizeof text - 2] = 'x';
        size_t slashes = 0;
        for (size_t i = 0; i < sizeof text; i++)
            slashes += text[i] == '/';
        struct vfs_list list = {0};
        struct listing_request request = {.path = slice_of(text, sizeof text), .list = &list};
        struct buf *b = listing_html(NULL, &request);
        assert_non_null(b);
        assert_true(b->n < 100 * KIB);
        assert_true(slice_has_suffix(buf_slice(b), SLICE("</html>\n")));
        assert_int_equal(has(b, "\xe2\x80\xa6<i>/</i>"), slashes > 2 + 12);
        buf_release(&b);
    }
}

/* ---- Order ---- */

/* Sign of listing_name_cmp for neighbours in this row; all pairs must agree with it. */
static void test_natural_order(void **state)
{
    static const char *const row[] = {
        "",       " a",       "01",
        "1",      "2",        "2a",
        "10",     "100",      "99999999999999999999999",
        "A",      "a",        "a1",
        "A2",     "a2",       "a02b",
        "a2c",    "a10",      "a10b2",
        "a10b10", "b",        "File2",
        "file2",  "file10",   "file10x",
        "z",      "\xc3\xa4",
    };
    for (size_t i = 0; i < COUNT_OF(row); i++)
        for (size_t j = 0; j < COUNT_OF(row); j++) {
            int got = listing_name_cmp(slice_str(row[i]), slice_str(row[j]));
            int expected = (i > j) - (i < j);
            if ((got > 0) - (got < 0) != expected && strcasecmp(row[i], row[j]) != 0)
                ROW_FAILED(i * 100 + j, slice_str(row[i]));
            assert_int_equal(got == 0, i == j);
        }
}

/* Sorting by keys is sorting by names: any names, from few letters, with long numbers. */
static void test_keys_agree_with_names(void **state)
{
    enum { COUNT = 2000 };
    static char room[COUNT][24];
    static struct vfs_entry entries[COUNT];
    static struct listing_item items[COUNT];
    static const char letters[] = "aAbB0012 .\xff";
    struct prng g = {7};
    for (size_t i = 0; i < COUNT; i++) {
        size_t n = prng_below(&g, sizeof room[i]);
        for (size_t k = 0; k < n; k++)
            room[i][k] = letters[prng_below(&g, sizeof letters - 1)];
        entries[i] = (struct vfs_entry){slice_of(room[i], n), VFS_FILE, 0, 0};
    }
    struct vfs_list list = {.entries = entries, .count = COUNT};
    assert_int_equal(listing_sort(&list, LISTING_NAME, false, items), 0);
    for (size_t i = 1; i < COUNT; i++)
        assert_true(listing_name_cmp(items[i - 1].entry->name, items[i].entry->name) <= 0);
    assert_int_equal(listing_sort(&list, LISTING_NAME, true, items), 0);
    for (size_t i = 1; i < COUNT; i++)
        assert_true(listing_name_cmp(items[i - 1].entry->name, items[i].entry->name) >= 0);
}

/* Numbers of hundreds of digits do not fit a key. */
static void test_keys_of_long_numbers(void **state)
{
    static char text[3][401];
    static const size_t lengths[] = {400, 300, 256};
    struct vfs_entry entries[3];
    struct listing_item items[3];
    for (size_t i = 0; i < 3; i++) {
        memset(text[i], '1' + (int)i, lengths[i]);
        entries[i] = file(text[i], 0, 0);
    }
    struct vfs_list list = {.entries = entries, .count = 3};
    assert_int_equal(listing_sort(&list, LISTING_NAME, false, items), 0);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(items[i].entry, &entries[2 - i]);
}

/* The names in a listing, each with a blank behind it. */
static void check_order(const struct vfs_list *list, const char *sort, const char *order,
                        const char *expected)
{
    char room[256];
    struct fmt f = fmt_on(room, sizeof room);
    struct listing_request request = {SLICE("/"), slice_str(sort), slice_str(order), list};
    struct buf *b = listing_json(NULL, &request);
    slice rest = buf_slice(b);
    for (const char *at; (at = memmem(rest.p, rest.n, "{\"name\":\"", 9));) {
        rest = slice_skip(rest, (size_t)(at - rest.p) + 9);
        fmt_put(&f, slice_head(rest, (size_t)slice_find(rest, '"')));
        fmt_char(&f, ' ');
    }
    assert_slice(fmt_done(&f), slice_str(expected));
    buf_release(&b);
}

static void test_orders(void **state)
{
    struct vfs_entry entries[] = {
        file("b10", 5, -10), file("b9", 7, 30), dir("Z", 5), file("A", 7, 30),
        dir("y", 1),         file("c", 0, 20),  dir("x", 9),
    };
    struct vfs_list list = {.entries = entries, .count = COUNT_OF(entries)};
    check_order(&list, "", "", "x y Z A b9 b10 c ");
    check_order(&list, "name", "asc", "x y Z A b9 b10 c ");
    check_order(&list, "name", "desc", "Z y x c b10 b9 A ");
    check_order(&list, "size", "asc", "x y Z c b10 A b9 ");
    check_order(&list, "size", "desc", "x y Z A b9 b10 c ");
    check_order(&list, "time", "asc", "y Z x b10 c A b9 ");
    check_order(&list, "time", "desc", "x Z y A b9 c b10 ");
    check_order(&list, "colour", "sideways", "x y Z A b9 b10 c ");
    check_order(&list, "NAME", "DESC", "x y Z A b9 b10 c ");
}

static void check_columns(const char *sort, const char *order, const char *name, const char *size,
                          const char *time)
{
    struct vfs_list list = {0};
    struct listing_request request = {SLICE("/"), slice_str(sort), slice_str(order), &list};
    struct buf *b = listing_html(NULL, &request);
    char expected[512];
    snprintf(expected, sizeof expected,
             "<th scope=col class=n%s\">Name</a><th scope=col class=s%s\">Size</a>"
             "<th scope=col class=t%s\">Modified (UTC)</a>",
             name, size, time);
    if (!has(b, expected))
        ROW_FAILED(0, slice_str(expected));
    buf_release(&b);
}

#define UP                  " aria-sort=ascending"
#define DOWN                " aria-sort=descending"
#define LINK(column, order) "><a href=\"?sort=" column "&amp;order=" order

static void test_columns(void **state)
{
    check_columns("", "", UP LINK("name", "desc"), LINK("size", "desc"), LINK("time", "desc"));
    check_columns("name", "desc", DOWN LINK("name", "asc"), LINK("size", "desc"),
                  LINK("time", "desc"));
    check_columns("size", "desc", LINK("name", "asc"), DOWN LINK("size", "asc"),
                  LINK("time", "desc"));
    check_columns("size", "asc", LINK("name", "asc"), UP LINK("size", "desc"),
                  LINK("time", "desc"));
    check_columns("time", "asc", LINK("name", "asc"), LINK("size", "desc"),
                  UP LINK("time", "desc"));
}

/* ---- Sizes, times, notes ---- */

static void test_sizes(void **state)
{
    static const struct {
        uint64_t size;
        const char *cell;
    } rows[] = {
        {0, "title=\"0 bytes\">0 B<"},
        {999, "title=\"999 bytes\">999 B<"},
        {1023, "title=\"1,023 bytes\">1023 B<"},
        {1024, "title=\"1,024 bytes\">1.0 KiB<"},
        {1536, ">1.5 KiB<"},
        {10188, ">9.9 KiB<"},
        {10189, ">10 KiB<"},
        {1048063, ">1023 KiB<"},
        {1048064, ">1.0 MiB<"},
        {1048576, "title=\"1,048,576 bytes\">1.0 MiB<"},
        {5500000000, "title=\"5,500,000,000 bytes\">5.1 GiB<"},
        {1234567890123456, ">1.1 PiB<"},
        {INT64_MAX, ">8.0 EiB<"},
        {UINT64_MAX, "title=\"18,446,744,073,709,551,615 bytes\">16 EiB<"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf *b = of_one(listing_html, file("f", rows[i].size, 0));
        if (!has(b, rows[i].cell))
            ROW_FAILED(i, slice_str(rows[i].cell));
        buf_release(&b);
    }
}

static void test_times(void **state)
{
    static const struct {
        int64_t mtime_s;
        const char *html, *json;
    } rows[] = {
        {1772368496, "<time datetime=2026-03-01T12:34:56Z>2026-03-01 12:34</time>",
         "\"modified\":\"2026-03-01T12:34:56Z\"}"},
        {-1, "<time datetime=1969-12-31T23:59:59Z>1969-12-31 23:59</time>",
         "\"modified\":\"1969-12-31T23:59:59Z\"}"},
        {INT64_MAX, "<td class=t>\xe2\x80\x93\n", "\"modified\":null}"},
        {INT64_MIN, "<td class=t>\xe2\x80\x93\n", "\"modified\":null}"},
        {253402300800, "<td class=t>\xe2\x80\x93\n", "\"modified\":null}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf *html = of_one(listing_html, file("f", 0, rows[i].mtime_s));
        struct buf *json = of_one(listing_json, file("f", 0, rows[i].mtime_s));
        if (!has(html, rows[i].html) || !has(json, rows[i].json))
            ROW_FAILED(i, slice_str(rows[i].html));
        buf_release(&html);
        buf_release(&json);
    }
}

static void test_directory_has_no_size(void **state)
{
    struct buf *json = of_one(listing_json, dir("d", 0));
    assert_true(has(json, "\"type\":\"directory\",\"size\":null,"));
    buf_release(&json);
    struct buf *html = of_one(listing_html, dir("d", 0));
    assert_true(has(html, "<td class=s><td class=t>"));
    assert_false(has(html, "4,096"));
    buf_release(&html);
}

static void check_page(struct listing_request request, const char *what, bool is_there)
{
    struct buf *b = listing_html(NULL, &request);
    if (has(b, what) != is_there)
        ROW_FAILED(is_there, slice_str(what));
    buf_release(&b);
}

static void test_notes(void **state)
{
    struct vfs_entry entries[] = {file("a", UINT64_MAX, 0), file("b", 2, 0), dir("c", 0)};
    struct vfs_list none = {0}, one = {.entries = entries + 1, .count = 1},
                    all = {.entries = entries, .count = 3, .is_cut = true},
                    folder = {.entries = entries + 2, .count = 1};
    struct listing_request request = {.path = SLICE("/"), .list = &none};
    check_page(request, "This folder is empty.", true);
    check_page(request, "Parent folder", false);
    check_page(request, "<nav", false);
    check_page(request, "<h1><bdi>Home</bdi></h1></header>", true);
    request.path = SLICE("/a/");
    check_page(request, "<a href=\"../\"><svg class=u aria-hidden=true>", true);
    check_page(request, "<h1><bdi>a</bdi></h1></header>", true);
    request.list = &one;
    check_page(request, "<p>1 file, <span title=\"2 bytes\">2 B</span></p></header>", true);
    check_page(request, "is empty", false);
    request.list = &folder;
    check_page(request, "<p>1 folder</p></header>", true);
    request.list = &all;
    check_page(request, "<p>1 folder, 2 files, <span title=\"18,446,744,073,709,551,615 bytes\">",
               true);
    check_page(request, "these are 3 of its entries.", true);
    struct buf *b = listing_json(NULL, &request);
    assert_true(has(b, "],\"cut\":true}\n"));
    buf_release(&b);
}

static void test_icons(void **state)
{
    static const struct {
        const char *name;
        char icon;
    } rows[] = {
        {"a.jpg", 'i'}, {"A.JPEG", 'i'}, {"a.b.mp3", 'a'}, {"a.mkv", 'v'}, {"a.tar.gz", 'z'},
        {"a.md", 't'},  {"a.C", 'c'},    {"README", 'f'},  {".c", 'f'},    {"a.", 'f'},
        {"", 'f'},      {"a.jp", 'f'},   {"a.jpg ", 'f'},  {"a. ", 'f'},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (listing_icon_of(slice_str(rows[i].name)) != rows[i].icon)
            ROW_FAILED(i, slice_str(rows[i].name));
    for (const char *id = "dufiavztc"; *id; id++) {
        char symbol[32];
        snprintf(symbol, sizeof symbol, "<symbol id=%c ", *id);
        assert_non_null(memmem(listing_icons().p, listing_icons().n, symbol, strlen(symbol)));
    }
}

/* The page asks nobody for anything, and runs nothing. */
static void test_needs_nothing_else(void **state)
{
    struct buf *b = of_one(listing_html, file("a.jpg", 1, 0));
    static const char *const absent[] = {
        "<script", "<link", "<img", "http:", "https:", "url(", "@import", "onclick"};
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        assert_false(has(b, absent[i]));
    assert_true(has(b, "name=viewport"));
    assert_true(has(b, "prefers-color-scheme:dark"));
    buf_release(&b);
}

/* ---- Memory ---- */

enum { MANY = 10000 };

static void fill_many(struct vfs_list *list, struct vfs_entry *entries, char (*room)[16])
{
    for (size_t i = 0; i < MANY; i++) {
        snprintf(room[i], sizeof room[i], "IMG_%05zu.jpg", i * 7919 % MANY);
        entries[i] = file(room[i], i * 1000003, (int64_t)i * 1000);
    }
    *list = (struct vfs_list){.entries = entries, .count = MANY};
}

static void test_many(void **state)
{
    static char room[MANY][16];
    static struct vfs_entry entries[MANY];
    struct vfs_list list;
    fill_many(&list, entries, room);
    struct listing_request request = {.path = SLICE("/p/"), .list = &list};
    struct buf *b = listing_html(NULL, &request);
    assert_true(has(b, "<p>10,000 files, "));
    size_t rows = 0;
    for (slice rest = buf_slice(b), line; slice_cut(&rest, '\n', &line);)
        rows += slice_has_prefix(line, SLICE("<tr>"));
    assert_int_equal(rows, MANY + 1);
    assert_int_equal(b->cap, b->n);
    buf_release(&b);
}

/* Names of the worst bytes, of lengths that meet every place where the page has to grow. */
static void test_growth(void **state)
{
    static char text[5000];
    static const char bytes[] = {'"', '\'', '\xff', '\n', 'a', '\x01'};
    struct vfs_entry entries[40];
    struct vfs_list list = {.entries = entries, .count = COUNT_OF(entries)};
    struct listing_request request = {.path = SLICE("/"), .list = &list};
    for (size_t k = 0; k < sizeof bytes; k++) {
        memset(text, bytes[k], sizeof text);
        for (size_t i = 0; i < list.count; i++)
            entries[i] = (struct vfs_entry){slice_of(text, i * 127), i % 2 ? VFS_DIR : VFS_FILE,
                                            UINT64_MAX, INT64_MAX};
        struct buf *html = listing_html(NULL, &request), *json = listing_json(NULL, &request);
        assert_true(slice_has_suffix(buf_slice(html), SLICE("</html>\n")));
        assert_true(slice_has_suffix(buf_slice(json), SLICE("\"cut\":false}\n")));
        buf_release(&html);
        buf_release(&json);
    }
}

/* Each allocation fails once: nothing is left behind, and the answer is NULL or whole. */
static void test_no_memory(void **state)
{
    static char text[3000];
    memset(text, '"', sizeof text);
    struct vfs_entry entries[20];
    for (size_t i = 0; i < COUNT_OF(entries); i++)
        entries[i] = (struct vfs_entry){slice_of(text, sizeof text), VFS_FILE, 0, 0};
    struct vfs_list list = {.entries = entries, .count = COUNT_OF(entries)};
    struct listing_request request = {.path = SLICE("/"), .list = &list};
    static const listing_fn both[] = {listing_html, listing_json};
    struct mem_book book;
    struct mem_owner owner;
    mem_book_init(&book, 0);
    mem_owner_init(&owner, &book, "test");
    for (size_t form = 0; form < COUNT_OF(both); form++) {
        size_t failed = 0;
        for (uint64_t n = 1;; n++) {
            book.fail_at = n;
            struct buf *b = both[form](&owner, &request);
            bool all_went = book.fail_at > 0;
            book.fail_at = 0;
            failed += b == NULL;
            buf_release(&b);
            assert_int_equal(owner.bytes, 0);
            if (all_went)
                break;
        }
        assert_true(failed >= 4);
    }
    mem_owner_fini(&owner);
    mem_book_fini(&book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_in_html),
        cmocka_unit_test(test_names_in_json),
        cmocka_unit_test(test_path_is_escaped),
        cmocka_unit_test(test_deep_path),
        cmocka_unit_test(test_natural_order),
        cmocka_unit_test(test_keys_agree_with_names),
        cmocka_unit_test(test_keys_of_long_numbers),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_directory_has_no_size),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_icons),
        cmocka_unit_test(test_needs_nothing_else),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
