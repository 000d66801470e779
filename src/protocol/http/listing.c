/* listing: rows of a directory, written into one growing buf.
 *
 * Before each piece page_need makes sure of room for the worst that the piece can become (a byte of
 * a name is at most six bytes escaped), so nothing in between can run short; fmt would only refuse
 * it, never overflow. */
#include "protocol/http/listing.h"

#include "base/check.h"
#include "base/civil.h"
#include "base/fmt.h"
#include "protocol/http/listing_icon.h"
#include "protocol/http/listing_sort.h"
#include "service/vfs.h"
#include "wire/escape.h"
#include "wire/uri.h"

#define ESCAPED_MAX 6    /* bytes that one byte of a name can become */
#define CRUMBS_MAX  12   /* deeper paths show the start and so many at the end */
#define ROW_BYTES   512  /* of a row besides its name */
#define FRAME_BYTES 8192 /* of the page besides rows and paths */

/* ---- The growing page ---- */

struct page {
    struct buf *b;
    struct fmt f; /* on all of b's room */
};

static bool page_init(struct page *page, struct mem_owner *owner, size_t bytes)
{
    page->b = buf_new(owner, bytes);
    if (page->b)
        page->f = fmt_on(page->b->p, page->b->cap);
    return page->b != NULL;
}

/* Room for [n] more bytes; false without memory. */
static bool page_need(struct page *page, size_t n)
{
    if (LIKELY(fmt_room(&page->f) >= n))
        return true;
    page->b->n = fmt_done(&page->f).n;
    if (!buf_resize(&page->b, page->b->cap + MAX(n, page->b->cap / 2)))
        return false;
    page->f = fmt_on(page->b->p, page->b->cap);
    page->f.p += page->b->n;
    return true;
}

/* The finished buf, not larger than it has to be; NULL (and nothing left) when [ok] is false. */
static struct buf *page_done(struct page *page, bool ok)
{
    if (!ok) {
        buf_release(&page->b);
        return NULL;
    }
    BUG_ON(page->f.full);
    page->b->n = fmt_done(&page->f).n;
    if (!buf_resize(&page->b, page->b->n))
        return page->b; /* the larger one does as well */
    return page->b;
}

/* ---- What both forms need ---- */

struct listing {
    const struct vfs_list *list;
    slice path;
    enum listing_key key;
    bool is_descending;
    struct buf *items_room;
    struct listing_item *items;
    size_t dirs;
};

static const slice key_names[] = {SLICE("name"), SLICE("size"), SLICE("time")};

static bool listing_init(struct listing *l, struct mem_owner *owner,
                         const struct listing_request *request)
{
    *l = (struct listing){.list = request->list, .path = request->path};
    for (size_t i = 0; i < COUNT_OF(key_names); i++)
        if (slice_is(request->sort, key_names[i]))
            l->key = (enum listing_key)i;
    l->is_descending = slice_is(request->order, SLICE("desc"));
    l->items_room = buf_new(owner, request->list->count * sizeof *l->items);
    if (!l->items_room)
        return false;
    l->items = (struct listing_item *)(void *)l->items_room->p;
    l->dirs = listing_sort(l->list, l->key, l->is_descending, l->items);
    return true;
}

static bool has_date(int64_t unix_s)
{
    return unix_s >= CIVIL_FIRST && unix_s <= CIVIL_LAST;
}

/* ---- Numbers for people ---- */

/* "1,234,567" */
static void put_grouped(struct fmt *f, uint64_t value)
{
    if (value < 1000) {
        fmt_u64(f, value);
        return;
    }
    put_grouped(f, value / 1000);
    fmt_char(f, ',');
    fmt_u64_wide(f, value % 1000, 3);
}

/* "0 B", "999 B", "1.5 KiB", "23 MiB": two or three digits say enough. */
static void put_size(struct fmt *f, uint64_t size)
{
    static const char units[] = "KMGTPE";
    if (size < 1024) {
        fmt_u64(f, size);
        fmt_put(f, SLICE(" B"));
        return;
    }
    unsigned unit = 0;
    while (size >= 1024 * 1024 - 512) { /* what would be written as 1024 of this unit */
        size = size / 1024 + (size % 1024 >= 512);
        unit++;
    }
    uint64_t tenths = (size * 10 + 512) / 1024;
    if (tenths < 100) {
        fmt_u64(f, tenths / 10);
        fmt_char(f, '.');
        fmt_u64(f, tenths % 10);
    } else {
        fmt_u64(f, (size + 512) / 1024);
    }
    fmt_char(f, ' ');
    fmt_char(f, units[unit]);
    fmt_put(f, SLICE("iB"));
}

/* "1 file", "2,000 files" */
static void put_count(struct fmt *f, uint64_t count, const char *noun)
{
    put_grouped(f, count);
    fmt_char(f, ' ');
    fmt_str(f, noun);
    if (count != 1)
        fmt_char(f, 's');
}

/* ---- HTML ---- */

static const char page_head[] =
    "<!doctype html><html lang=en><meta charset=utf-8>"
    "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
    "<meta name=color-scheme content=\"light dark\"><style>"
    ":root{--bg:#f5f6f8;--card:#fff;--fg:#1c2126;--mut:#59636e;--acc:#0a58ca;--line:#e3e7eb;"
    "--hov:#f1f5fb;--dir:#d6e6fb}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1b1f24;--fg:#e8ebee;"
    "--mut:#9ba6b1;--acc:#7db4ff;--line:#2b3138;--hov:#232932;--dir:#22395a}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--bg);color:var(--fg);font:1rem/1.5 system-ui,-apple-system,"
    "\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif;-webkit-text-size-adjust:100%}"
    "main{max-width:62rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}"
    "a{color:inherit;text-decoration:none}"
    "a:focus-visible{outline:2px solid var(--acc);outline-offset:-2px;border-radius:.4rem}"
    "nav{color:var(--mut);font-size:.9375rem;overflow-wrap:anywhere}"
    "nav a{color:var(--acc)}nav a:hover{text-decoration:underline}"
    "nav i{font-style:normal;margin:0 .45em;opacity:.6}"
    "h1{margin:.15rem 0 0;font-size:clamp(1.5rem,4vw,2rem);line-height:1.25;font-weight:680;"
    "letter-spacing:-.015em;overflow-wrap:anywhere}"
    "p{margin:.3rem 0 0;color:var(--mut)}"
    ".cut{margin-top:1rem;padding:.65rem 1rem;border:1px solid var(--line);border-radius:.6rem;"
    "background:var(--hov);color:var(--fg)}"
    "table{width:100%;margin-top:1.5rem;border:1px solid var(--line);border-radius:.75rem;"
    "border-spacing:0;background:var(--card);overflow:clip}"
    "th{position:sticky;top:0;z-index:1;padding:0;background:var(--card);"
    "border-bottom:1px solid var(--line);text-align:left;font-size:.8125rem;font-weight:600;"
    "color:var(--mut);white-space:nowrap}"
    "th a{display:block;padding:.7rem 1rem}"
    "th a:hover,th[aria-sort]{color:var(--fg)}"
    "th[aria-sort] a::after{content:\"\\2191\";margin-left:.35em;color:var(--acc)}"
    "th[aria-sort=descending] a::after{content:\"\\2193\"}"
    "td{padding:0;border-top:1px solid var(--line)}"
    "tbody tr:first-child td{border-top:0}"
    "tbody tr:hover{background:var(--hov)}"
    ".n{width:100%}"
    "td.n a{display:flex;gap:.75rem;align-items:flex-start;padding:.55rem 1rem}"
    "td.n a:hover bdi{color:var(--acc);text-decoration:underline;text-underline-offset:.15em}"
    "bdi{overflow-wrap:anywhere;min-width:0}"
    "td svg{flex:none;width:1.375rem;height:1.375rem;margin-top:.0625rem;fill:none;"
    "stroke:var(--mut);stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}"
    "td .d{fill:var(--dir);stroke:var(--acc)}"
    "td .u{stroke:var(--acc)}"
    ".s,.t{padding:0 1rem;color:var(--mut);font-size:.9375rem;white-space:nowrap;"
    "font-variant-numeric:tabular-nums}"
    ".s{text-align:right}th.s,th.t{padding:0;font-size:.8125rem}"
    ".e{padding:2.5rem 1rem;text-align:center;color:var(--mut)}"
    "@media(max-width:40rem){"
    "main{padding:1.25rem .75rem 3rem}header{padding:0 .35rem}"
    "table{margin-top:1.1rem}table,thead,tbody{display:block}"
    "thead tr{display:flex}th{position:static;flex:auto}th.n{width:auto}th.s,th.t{text-align:left}"
    "tbody tr{display:grid;grid-template-columns:auto 1fr;position:relative;padding:.7rem .85rem;"
    "border-top:1px solid var(--line)}"
    "tbody tr:first-child{border-top:0}td{border:0}td.n{grid-column:1/-1}"
    "td.n a{padding:0}td.n a::after{content:\"\";position:absolute;inset:0}"
    "th a{padding:.7rem .85rem}"
    ".s,.t{padding:0;font-size:.8125rem}"
    "td.s{padding-left:2.125rem;min-width:7rem;text-align:left}"
    "td.s:empty{display:none}td.s:empty+.t{grid-column:1/-1;padding-left:2.125rem}"
    ".e{display:block;grid-column:1/-1;padding:1.5rem 0}}"
    "</style>";

static void put_up(struct fmt *f, size_t levels)
{
    while (levels--)
        fmt_put(f, SLICE("../"));
}

/* A link to [name] in this directory. A first segment with a colon would be read as a scheme (RFC
 * 3986 4.2); "&" and "'" stay in paths but not in attributes. */
static void put_link(struct fmt *f, slice name)
{
    if (slice_find(name, ':') >= 0)
        fmt_put(f, SLICE("./"));
    for (; name.n; name = slice_skip(name, 64)) {
        char room[64 * 3];
        struct fmt encoded = fmt_on(room, sizeof room);
        uri_path_encode(slice_head(name, 64), &encoded);
        escape_html(f, fmt_done(&encoded));
    }
}

/* The path without the slashes at its ends; the last segment goes to *last_out. */
static slice path_parents(slice path, slice *last_out)
{
    while (path.n && path.p[0] == '/')
        path = slice_skip(path, 1);
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    ssize_t at = slice_find_last(path, '/');
    *last_out = slice_skip(path, (size_t)(at + 1));
    return slice_head(path, at < 0 ? 0 : (size_t)at);
}

static size_t count_segments(slice s)
{
    size_t n = s.n > 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '/';
    return n;
}

static void put_crumb(struct fmt *f, slice name, size_t levels_up)
{
    fmt_put(f, SLICE("<a href=\""));
    put_up(f, levels_up);
    fmt_put(f, SLICE("\"><bdi>"));
    escape_html(f, name);
    fmt_put(f, SLICE("</bdi></a><i>/</i>"));
}

/* The directories above this one. Each link is as long as it is deep, so a long path shows its
 * nearest ones only: else the page would grow with the square of it. */
static void put_crumbs(struct fmt *f, slice parents)
{
    size_t depth = count_segments(parents) + 1;
    fmt_put(f, SLICE("<nav aria-label=Path>"));
    put_crumb(f, SLICE("Home"), depth--);
    if (depth > CRUMBS_MAX)
        fmt_put(f, SLICE("\xe2\x80\xa6<i>/</i>"));
    for (slice rest = parents, name; depth > 0 && slice_cut(&rest, '/', &name); depth--)
        if (depth <= CRUMBS_MAX)
            put_crumb(f, name, depth);
    fmt_put(f, SLICE("</nav>"));
}

static uint64_t total_size(const struct listing *l)
{
    uint64_t total = 0;
    for (size_t i = l->dirs; i < l->list->count; i++)
        if (__builtin_add_overflow(total, l->items[i].entry->size, &total))
            return UINT64_MAX;
    return total;
}

/* "2 folders, 12 files, 5.8 GiB"; nothing of an empty directory. */
static void put_summary(struct fmt *f, const struct listing *l)
{
    size_t files = l->list->count - l->dirs;
    if (!l->list->count)
        return;
    fmt_put(f, SLICE("<p>"));
    if (l->dirs)
        put_count(f, l->dirs, "folder");
    if (l->dirs && files)
        fmt_put(f, SLICE(", "));
    if (files) {
        put_count(f, files, "file");
        fmt_put(f, SLICE(", <span title=\""));
        put_grouped(f, total_size(l));
        fmt_put(f, SLICE(" bytes\">"));
        put_size(f, total_size(l));
        fmt_put(f, SLICE("</span>"));
    }
    fmt_put(f, SLICE("</p>"));
}

static void put_cut_note(struct fmt *f, const struct listing *l)
{
    if (!l->list->is_cut)
        return;
    fmt_put(f, SLICE("<p class=cut>There is more in this folder than can be shown: these are "));
    put_grouped(f, l->list->count);
    fmt_put(f, SLICE(" of its entries.</p>"));
}

static bool put_header(struct page *page, const struct listing *l)
{
    if (!page_need(page, FRAME_BYTES + 4 * ESCAPED_MAX * l->path.n))
        return false;
    struct fmt *f = &page->f;
    slice name;
    slice parents = path_parents(l->path, &name);
    fmt_str(f, page_head);
    fmt_put(f, SLICE("<title>"));
    escape_html(f, l->path);
    fmt_put(f, SLICE("</title>"));
    fmt_put(f, listing_icons());
    fmt_put(f, SLICE("<main><header>"));
    if (name.n)
        put_crumbs(f, parents);
    fmt_put(f, SLICE("<h1><bdi>"));
    escape_html(f, name.n ? name : SLICE("Home"));
    fmt_put(f, SLICE("</bdi></h1>"));
    put_summary(f, l);
    put_cut_note(f, l);
    fmt_put(f, SLICE("</header>"));
    return true;
}

/* A column's name is a link that sorts by it: the other way round when that is done already, else
 * names upwards, the largest and the newest first. */
static void put_column(struct fmt *f, const struct listing *l, enum listing_key key,
                       const char *title)
{
    static const char classes[] = "nst";
    bool is_current = key == l->key;
    bool descending = is_current ? !l->is_descending : key != LISTING_NAME;
    fmt_put(f, SLICE("<th scope=col class="));
    fmt_char(f, classes[key]);
    if (is_current)
        fmt_str(f, l->is_descending ? " aria-sort=descending" : " aria-sort=ascending");
    fmt_put(f, SLICE("><a href=\"?sort="));
    fmt_put(f, key_names[key]);
    fmt_str(f, descending ? "&amp;order=desc\">" : "&amp;order=asc\">");
    fmt_str(f, title);
    fmt_put(f, SLICE("</a>"));
}

static void put_icon(struct fmt *f, char id)
{
    fmt_put(f, SLICE("<svg"));
    if (id == 'd' || id == 'u') {
        fmt_put(f, SLICE(" class="));
        fmt_char(f, id);
    }
    fmt_put(f, SLICE(" aria-hidden=true><use href=\"#"));
    fmt_char(f, id);
    fmt_put(f, SLICE("\"/></svg>"));
}

static void put_table_head(struct fmt *f, const struct listing *l)
{
    fmt_put(f, SLICE("<table aria-label=Contents><thead><tr>"));
    put_column(f, l, LISTING_NAME, "Name");
    put_column(f, l, LISTING_SIZE, "Size");
    put_column(f, l, LISTING_TIME, "Modified (UTC)");
    fmt_put(f, SLICE("<tbody>"));
    if (!slice_is(l->path, SLICE("/"))) {
        fmt_put(f, SLICE("\n<tr><td class=n><a href=\"../\">"));
        put_icon(f, 'u');
        fmt_put(f, SLICE("<bdi>Parent folder</bdi></a><td class=s><td class=t>"));
    }
    if (l->list->count == 0)
        fmt_put(f, SLICE("\n<tr><td class=e colspan=3>This folder is empty."));
}

static void put_time(struct fmt *f, int64_t unix_s)
{
    if (!has_date(unix_s)) {
        fmt_put(f, SLICE("\xe2\x80\x93"));
        return;
    }
    char text[32];
    struct fmt t = fmt_on(text, sizeof text);
    civil_put_rfc3339(&t, unix_s);
    slice s = fmt_done(&t);
    fmt_put(f, SLICE("<time datetime="));
    fmt_put(f, s);
    fmt_put(f, SLICE("Z>"));
    fmt_put(f, slice_head(s, 10));
    fmt_char(f, ' ');
    fmt_put(f, slice_head(slice_skip(s, 11), 5));
    fmt_put(f, SLICE("</time>"));
}

static void put_row(struct fmt *f, const struct vfs_entry *e)
{
    bool is_dir = e->kind == VFS_DIR;
    fmt_put(f, SLICE("\n<tr><td class=n><a href=\""));
    put_link(f, e->name);
    fmt_str(f, is_dir ? "/\">" : "\">");
    put_icon(f, is_dir ? 'd' : listing_icon_of(e->name));
    fmt_put(f, SLICE("<bdi>"));
    escape_html(f, e->name);
    fmt_put(f, SLICE("</bdi></a><td class=s"));
    if (is_dir) {
        fmt_char(f, '>');
    } else {
        fmt_put(f, SLICE(" title=\""));
        put_grouped(f, e->size);
        fmt_put(f, SLICE(" bytes\">"));
        put_size(f, e->size);
    }
    fmt_put(f, SLICE("<td class=t>"));
    put_time(f, e->mtime_s);
}

static bool put_page(struct page *page, const struct listing *l)
{
    if (!put_header(page, l) || !page_need(page, 2 * ROW_BYTES))
        return false;
    put_table_head(&page->f, l);
    for (size_t i = 0; i < l->list->count; i++) {
        const struct vfs_entry *e = l->items[i].entry;
        if (!page_need(page, ROW_BYTES + 2 * ESCAPED_MAX * e->name.n))
            return false;
        put_row(&page->f, e);
    }
    if (!page_need(page, ROW_BYTES))
        return false;
    fmt_put(&page->f, SLICE("\n</table></main></html>\n"));
    return true;
}

/* ---- JSON ---- */

static void put_json_entry(struct fmt *f, const struct vfs_entry *e)
{
    fmt_put(f, SLICE("{\"name\":\""));
    escape_json(f, e->name);
    if (e->kind == VFS_DIR) {
        fmt_put(f, SLICE("\",\"type\":\"directory\",\"size\":null,\"modified\":"));
    } else {
        fmt_put(f, SLICE("\",\"type\":\"file\",\"size\":"));
        fmt_u64(f, e->size);
        fmt_put(f, SLICE(",\"modified\":"));
    }
    if (!has_date(e->mtime_s)) {
        fmt_put(f, SLICE("null}"));
        return;
    }
    fmt_char(f, '"');
    civil_put_rfc3339(f, e->mtime_s);
    fmt_put(f, SLICE("Z\"}"));
}

static bool put_json(struct page *page, const struct listing *l)
{
    if (!page_need(page, ROW_BYTES + ESCAPED_MAX * l->path.n))
        return false;
    fmt_put(&page->f, SLICE("{\"path\":\""));
    escape_json(&page->f, l->path);
    fmt_put(&page->f, SLICE("\",\"entries\":["));
    for (size_t i = 0; i < l->list->count; i++) {
        const struct vfs_entry *e = l->items[i].entry;
        if (!page_need(page, ROW_BYTES + ESCAPED_MAX * e->name.n))
            return false;
        fmt_put(&page->f, i ? SLICE(",\n") : SLICE("\n"));
        put_json_entry(&page->f, e);
    }
    if (!page_need(page, ROW_BYTES))
        return false;
    fmt_put(&page->f, SLICE("\n],\"cut\":"));
    fmt_str(&page->f, l->list->is_cut ? "true}\n" : "false}\n");
    return true;
}

/* ---- Both ---- */

static struct buf *render(struct mem_owner *owner, const struct listing_request *request,
                          bool (*put)(struct page *page, const struct listing *l))
{
    struct listing l;
    struct page page;
    if (!listing_init(&l, owner, request))
        return NULL;
    struct buf *done = NULL;
    if (page_init(&page, owner, FRAME_BYTES + request->list->count * (ROW_BYTES / 2)))
        done = page_done(&page, put(&page, &l));
    buf_release(&l.items_room);
    return done;
}

struct buf *listing_html(struct mem_owner *owner, const struct listing_request *request)
{
    return render(owner, request, put_page);
}

struct buf *listing_json(struct mem_owner *owner, const struct listing_request *request)
{
    return render(owner, request, put_json);
}
