/* listing: sorts, then writes a page or JSON into a buffer that grows. */
#include "protocol/http/listing.h"

#include "base/fmt.h"
#include "service/vfs.h"
#include "wire/escape.h"
#include "wire/uri.h"

#include <stdarg.h>

/* ---- A growing text ---- */

struct text {
    struct buf *b; /* NULL after a failure: all further puts do nothing */
};

/* Room for [n] more bytes; false without memory. */
static bool make_room(struct text *t, size_t n)
{
    if (!t->b)
        return false;
    if (t->b->cap - t->b->n >= n)
        return true;
    if (buf_resize(&t->b, MAX(t->b->cap * 2, t->b->n + n)))
        return true;
    buf_release(&t->b);
    return false;
}

typedef void (*put_fn)(struct fmt *f, slice s);

/* What [fn] makes of [s]: at most [factor] bytes for one. */
static void put_with(struct text *t, put_fn fn, slice s, size_t factor)
{
    if (!make_room(t, s.n * factor + 1))
        return;
    struct fmt f = fmt_on(t->b->p + t->b->n, s.n * factor);
    fn(&f, s);
    t->b->n += fmt_done(&f).n;
}

static void put(struct text *t, slice s)
{
    put_with(t, fmt_put, s, 1);
}

static void put_html(struct text *t, slice s)
{
    put_with(t, escape_html, s, 8);
}

static void put_json(struct text *t, slice s)
{
    put_with(t, escape_json, s, 8);
}

/* For a path within an attribute of HTML: "&" may stand in a path, but would begin an entity here. */
static void encode(struct fmt *f, slice s)
{
    for (ssize_t at; (at = slice_find(s, '&')) >= 0; s = slice_skip(s, (size_t)at + 1)) {
        uri_path_encode(slice_head(s, (size_t)at), f);
        fmt_put(f, SLICE("%26"));
    }
    uri_path_encode(s, f);
}

PRINTF(2, 3) static void put_f(struct text *t, const char *format, ...)
{
    char room[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(room, sizeof room, format, args);
    va_end(args);
    if (n > 0)
        put(t, slice_of(room, MIN((size_t)n, sizeof room - 1)));
}

/* ---- Order ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(slice s)
{
    size_t n = 0;
    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n;
}

static slice without_zeros(slice s)
{
    while (s.n > 1 && s.p[0] == '0')
        s = slice_skip(s, 1);
    return s;
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : (unsigned char)c;
}

/* "file2" before "file10", case does not matter. */
static int natural(slice a, slice b)
{
    slice whole_a = a, whole_b = b;
    while (a.n && b.n) {
        size_t da = digits(a), db = digits(b);
        if (da && db) {
            slice x = without_zeros(slice_head(a, da)), y = without_zeros(slice_head(b, db));
            int order = x.n != y.n ? (x.n < y.n ? -1 : 1) : slice_cmp(x, y);
            if (order)
                return order;
            a = slice_skip(a, da);
            b = slice_skip(b, db);
            continue;
        }
        if (lower(a.p[0]) != lower(b.p[0]))
            return lower(a.p[0]) - lower(b.p[0]);
        a = slice_skip(a, 1);
        b = slice_skip(b, 1);
    }
    if (a.n != b.n)
        return a.n ? 1 : -1;
    return slice_cmp(whole_a, whole_b);
}

struct order {
    char by; /* 'n', 's', 't' */
    bool down;
};

static struct order order_of(const struct listing_request *r)
{
    struct order o = {.by = 'n', .down = slice_is(r->order, SLICE("desc"))};
    if (slice_is(r->sort, SLICE("size")))
        o.by = 's';
    else if (slice_is(r->sort, SLICE("time")))
        o.by = 't';
    return o;
}

static int compare(const void *x, const void *y, void *arg)
{
    const struct vfs_entry *a = *(const struct vfs_entry *const *)x, *b = *(const struct vfs_entry *const *)y;
    const struct order *o = arg;
    if ((a->kind == VFS_DIR) != (b->kind == VFS_DIR))
        return a->kind == VFS_DIR ? -1 : 1;
    int order = 0;
    if (o->by == 's' && a->kind == VFS_FILE)
        order = (a->size > b->size) - (a->size < b->size);
    else if (o->by == 't')
        order = (a->mtime_s > b->mtime_s) - (a->mtime_s < b->mtime_s);
    if (!order)
        order = natural(a->name, b->name);
    return o->down ? -order : order;
}

/* Pointers to the entries in order, from malloc; NULL without memory. */
static const struct vfs_entry **sorted(const struct listing_request *r)
{
    const struct vfs_list *l = r->list;
    const struct vfs_entry **all = mem_raw_alloc((l->count + 1) * sizeof(void *));
    if (!all)
        return NULL;
    for (size_t i = 0; i < l->count; i++)
        all[i] = &l->entries[i];
    struct order o = order_of(r);
    qsort_r(all, l->count, sizeof *all, compare, &o);
    return all;
}

/* ---- The page ---- */

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2333;--soft:#626b80;--paper:#fbfaf7;--line:#e4e1d8;--hover:#f1eee6;--mark:#6438c0}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8e6f0;--soft:#a0a4b8;--paper:#15161d;--line:#2a2c38;--hover:#1e2029;--mark:#b79cff}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}\n"
    "main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem}h1{font-size:1.25rem;font-weight:600;margin:0 0 1rem;overflow-wrap:anywhere}\n"
    "a{color:var(--mark);text-decoration:none}a:hover{text-decoration:underline}\n"
    "table{width:100%;border-collapse:collapse}th{font-weight:500;font-size:.875rem;text-align:left;color:var(--soft)}\n"
    "th a{color:inherit}th,td{padding:.5rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}\n"
    "td:first-child{overflow-wrap:anywhere}td a{display:inline-flex;gap:.6rem}tbody tr:hover{background:var(--hover)}\n"
    "svg{width:1.15rem;height:1.5rem;flex:none;fill:none;stroke:currentColor;stroke-width:1.6}\n"
    ".n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--soft)}\n"
    "footer,p{color:var(--soft);font-size:.875rem;margin:1rem .6rem}\n"
    "@media(max-width:34rem){.t{display:none}th,td{padding:.65rem .3rem}}\n";

#define ICON_DIR  "<svg viewBox=\"0 0 20 24\"><path d=\"M2 6h6l2 2h8v11H2z\"/></svg>"
#define ICON_FILE "<svg viewBox=\"0 0 20 24\"><path d=\"M4 3h8l4 4v14H4zM12 3v4h4\"/></svg>"

/* "/a/b/" as links to each folder above. */
static void put_crumbs(struct text *t, slice path)
{
    size_t depth = 0;
    for (size_t i = 1; i < path.n; i++)
        depth += path.p[i] == '/';
    put(t, SLICE("<h1><a href=\""));
    for (size_t i = 0; i < depth; i++)
        put(t, SLICE("../"));
    put(t, depth ? SLICE("\">/</a>") : SLICE("./\">/</a>"));
    slice rest = slice_skip(path, 1), name;
    while (rest.n && slice_cut(&rest, '/', &name) && name.n) {
        depth--;
        put(t, SLICE(" <a href=\""));
        for (size_t i = 0; i < depth; i++)
            put(t, SLICE("../"));
        put(t, depth ? SLICE("\">") : SLICE("./\">"));
        put_html(t, name);
        put(t, SLICE("</a> /"));
    }
    put(t, SLICE("</h1>\n"));
}

static void put_column(struct text *t, const struct order *o, char by, const char *key, const char *title)
{
    bool now = o->by == by;
    const char *aria = !now ? "" : o->down ? " aria-sort=\"descending\"" : " aria-sort=\"ascending\"";
    const char *class = by == 'n' ? "" : by == 't' ? " class=\"n t\"" : " class=\"n\"";
    put_f(t, "<th scope=\"col\"%s%s><a href=\"?sort=%s&amp;order=%s\">%s%s</a></th>", class, aria, key,
          now && !o->down ? "desc" : "asc", title, !now ? "" : o->down ? " &darr;" : " &uarr;");
}

static void put_size(struct text *t, uint64_t size)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)size;
    unsigned unit = 0;
    while (value >= 1000 && unit + 1 < COUNT_OF(units)) {
        value /= 1024;
        unit++;
    }
    put_f(t, "<td class=\"n\" title=\"%llu bytes\">%.*f %s</td>", (unsigned long long)size, unit && value < 10 ? 1 : 0, value, units[unit]);
}

/* False: no calendar has this time. */
static bool time_of(int64_t unix_s, struct tm *tm)
{
    time_t at = (time_t)unix_s;
    return gmtime_r(&at, tm) && tm->tm_year + 1900 >= 0 && tm->tm_year + 1900 <= 9999;
}

static void put_time(struct text *t, int64_t unix_s)
{
    struct tm tm;
    if (!time_of(unix_s, &tm)) {
        put(t, SLICE("<td class=\"n t\"></td>"));
        return;
    }
    int y = tm.tm_year + 1900, m = tm.tm_mon + 1;
    put_f(t, "<td class=\"n t\"><time datetime=\"%04d-%02d-%02dT%02d:%02d:%02dZ\">%04d-%02d-%02d %02d:%02d</time></td>", y, m, tm.tm_mday,
          tm.tm_hour, tm.tm_min, tm.tm_sec, y, m, tm.tm_mday, tm.tm_hour, tm.tm_min);
}

static void put_row(struct text *t, const struct vfs_entry *e)
{
    bool dir = e->kind == VFS_DIR;
    put(t, SLICE("<tr><td><a href=\"./"));
    put_with(t, encode, e->name, 3);
    put(t, dir ? SLICE("/\">" ICON_DIR "<span>") : SLICE("\">" ICON_FILE "<span>"));
    put_html(t, e->name);
    put(t, dir ? SLICE("/</span></a></td><td class=\"n\"></td>") : SLICE("</span></a></td>"));
    if (!dir)
        put_size(t, e->size);
    put_time(t, e->mtime_s);
    put(t, SLICE("</tr>\n"));
}

static void put_footer(struct text *t, const struct vfs_list *l)
{
    size_t dirs = 0;
    for (size_t i = 0; i < l->count; i++)
        dirs += l->entries[i].kind == VFS_DIR;
    put_f(t, "<footer>%zu folder%s, %zu file%s. Times are UTC.", dirs, dirs == 1 ? "" : "s", l->count - dirs, l->count - dirs == 1 ? "" : "s");
    if (l->is_cut)
        put(t, SLICE(" There are more: only the first that were found are shown."));
    put(t, SLICE("</footer>\n</main></body></html>\n"));
}

static void put_page(struct text *t, const struct listing_request *r, const struct vfs_entry **all)
{
    struct order o = order_of(r);
    put(t, SLICE("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>"));
    put_html(t, r->path);
    put(t, SLICE("</title>\n<style>\n"));
    put(t, slice_str(style));
    put(t, SLICE("</style></head><body><main>\n"));
    put_crumbs(t, r->path);
    put(t, SLICE("<table><thead><tr>"));
    put_column(t, &o, 'n', "name", "Name");
    put_column(t, &o, 's', "size", "Size");
    put_column(t, &o, 't', "time", "Modified");
    put(t, SLICE("</tr></thead><tbody>\n"));
    if (r->path.n > 1)
        put(t, SLICE("<tr><td><a href=\"../\">" ICON_DIR "<span>..</span></a></td><td class=\"n\"></td><td class=\"n t\"></td></tr>\n"));
    for (size_t i = 0; i < r->list->count; i++)
        put_row(t, all[i]);
    put(t, SLICE("</tbody></table>\n"));
    if (!r->list->count)
        put(t, SLICE("<p>This folder is empty.</p>\n"));
    put_footer(t, r->list);
}

static void put_entry_json(struct text *t, const struct vfs_entry *e)
{
    put(t, SLICE("{\"name\":\""));
    put_json(t, e->name);
    if (e->kind == VFS_DIR)
        put(t, SLICE("\",\"type\":\"directory\",\"size\":null"));
    else
        put_f(t, "\",\"type\":\"file\",\"size\":%llu", (unsigned long long)e->size);
    struct tm tm;
    if (time_of(e->mtime_s, &tm))
        put_f(t, ",\"modified\":\"%04d-%02d-%02dT%02d:%02d:%02dZ\"}", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
              tm.tm_sec);
    else
        put(t, SLICE(",\"modified\":null}"));
}

static void put_json_page(struct text *t, const struct listing_request *r, const struct vfs_entry **all)
{
    put(t, SLICE("{\"path\":\""));
    put_json(t, r->path);
    put(t, SLICE("\",\"entries\":["));
    for (size_t i = 0; i < r->list->count; i++) {
        put(t, i ? SLICE(",\n") : SLICE("\n"));
        put_entry_json(t, all[i]);
    }
    put(t, r->list->is_cut ? SLICE("\n],\"cut\":true}\n") : SLICE("\n],\"cut\":false}\n"));
}

static struct buf *render(struct mem_owner *owner, const struct listing_request *r,
                          void (*fn)(struct text *t, const struct listing_request *r, const struct vfs_entry **all))
{
    const struct vfs_entry **all = sorted(r);
    if (!all)
        return NULL;
    struct text t = {.b = buf_new(owner, 8 * KIB + r->list->count * 256)};
    fn(&t, r, all);
    mem_raw_free(all);
    return t.b;
}

struct buf *listing_html(struct mem_owner *owner, const struct listing_request *request)
{
    return render(owner, request, put_page);
}

struct buf *listing_json(struct mem_owner *owner, const struct listing_request *request)
{
    return render(owner, request, put_json_page);
}
