/* error_page: our own pages from one template, the site's from a directory.
 *
 * A page is the same for everybody: nothing of a request goes into it, so there is nothing to
 * escape and each is made once. */
#include "protocol/http/error_page.h"

#include "base/check.h"
#include "base/fmt.h"
#include "base/num.h"
#include "wire/http_accept.h"
#include "wire/http_field.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES (4 * KIB) /* more than any page of ours needs */

/* What a visitor can do about it; for 5xx, that it is not the visitor's fault. */
static const struct advice {
    int status;
    const char *text;
} advices[] = {
    {400, "The server could not understand this request. If a program sent it, the program may "
          "have a fault."},
    {401, "This page is only for people who log in. Check the name and the password, and try "
          "again."},
    {403, "You may not see this page. If you think that you should, ask whoever runs this site."},
    {404, "There is nothing at this address. Check it for typing errors, or begin at the start "
          "page."},
    {405, "This cannot be done with this address. It can perhaps be read, but not be changed."},
    {406, "This page does not exist in any of the forms that were asked for."},
    {408, "The request took too long to arrive. Check your connection, and try again."},
    {411, "The request must say how long its body is."},
    {412, "The page is not in the state that the request expected: somebody may have changed it. "
          "Load it again first."},
    {413, "This is more than the server accepts at once. Send less, or in several parts."},
    {414, "This address is too long."},
    {415, "The server does not accept this type of file here."},
    {416, "The part that was asked for does not exist: the file is shorter. Load the whole file "
          "again."},
    {417, "The request expects something that the server does not do."},
    {421, "This server is not responsible for this address. Reload the page on a new connection."},
    {426, "The server answers this only in another protocol, which it names."},
    {429, "There were too many requests in a short time. Wait a moment, and try again."},
    {431, "The request carries too much. Deleting the cookies of this site often helps."},
    {500, "Something went wrong on the server. It is not your fault; try again later."},
    {501, "The server does not know how to do this."},
    {502, "The server behind this one gave no proper answer. Try again in a moment."},
    {503, "The server is busy, or is being maintained. Try again in a moment."},
    {504, "The server behind this one did not answer in time. Try again in a moment."},
    {505, "The server does not speak this version of HTTP."},
    {507, "There is no room left on the server to store this."},
};

static slice advice_of(int status)
{
    for (size_t i = 0; i < COUNT_OF(advices); i++)
        if (advices[i].status == status)
            return slice_str(advices[i].text);
    return status < 500 ? SLICE("The server did not accept this request.")
                        : SLICE("Something went wrong on the server. Try again later.");
}

static const char page_style[] =
    "<style>"
    ":root{--bg:#f5f6f8;--fg:#1c2126;--mut:#59636e;--acc:#0a58ca;--line:#dde1e6}"
    "@media(prefers-color-scheme:dark){"
    ":root{--bg:#14171b;--fg:#e8ebee;--mut:#9ba6b1;--acc:#7db4ff;--line:#2e353c}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;min-height:100svh;display:grid;place-items:center;"
    "padding:2rem 1.5rem;background:var(--bg);color:var(--fg);"
    "font:1.0625rem/1.6 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}"
    "main{max-width:32rem;padding-bottom:8vh}"
    "b{display:block;font-size:clamp(4.5rem,22vw,7.5rem);line-height:1;font-weight:750;"
    "letter-spacing:-.045em;color:var(--acc)}"
    "h1{margin:.75rem 0 .5rem;font-size:1.6rem;line-height:1.25;font-weight:650;"
    "letter-spacing:-.01em}"
    "p{margin:0;color:var(--mut);text-wrap:pretty}"
    "a{display:inline-block;margin-top:1.75rem;padding:.55rem 1.1rem;border:1px solid var(--line);"
    "border-radius:.6rem;color:var(--acc);text-decoration:none;font-weight:550}"
    "a:hover,a:focus-visible{border-color:var(--acc)}"
    "</style>";

static void put_title(struct fmt *f, int status)
{
    fmt_u64(f, (uint64_t)status);
    fmt_char(f, ' ');
    fmt_put(f, http_status_reason(status));
}

/* A way on for those who followed a dead link; not where the start page would say the same. */
static bool has_way_home(int status)
{
    return status == 403 || status == 404 || status == 410;
}

static void put_html(struct fmt *f, int status)
{
    fmt_put(f, SLICE("<!doctype html><html lang=en><meta charset=utf-8>"
                     "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
                     "<meta name=color-scheme content=\"light dark\">"
                     "<meta name=robots content=noindex><title>"));
    put_title(f, status);
    fmt_put(f, SLICE("</title>"));
    fmt_str(f, page_style);
    fmt_put(f, SLICE("<main><b aria-hidden=true>"));
    fmt_u64(f, (uint64_t)status);
    fmt_put(f, SLICE("</b><h1>"));
    fmt_put(f, http_status_reason(status));
    fmt_put(f, SLICE("</h1><p>"));
    fmt_put(f, advice_of(status));
    fmt_put(f, SLICE("</p>"));
    if (has_way_home(status))
        fmt_put(f, SLICE("<a href=\"/\">Start page</a>"));
    fmt_put(f, SLICE("</main></html>\n"));
}

static void put_text(struct fmt *f, int status)
{
    put_title(f, status);
    fmt_char(f, '\n');
    fmt_put(f, advice_of(status));
    fmt_char(f, '\n');
}

static struct buf *make_page(struct mem_owner *owner, int status, bool html)
{
    char room[PAGE_BYTES];
    struct fmt f = fmt_on(room, sizeof room);
    if (html)
        put_html(&f, status);
    else
        put_text(&f, status);
    BUG_ON(f.full);
    slice text = fmt_done(&f);
    struct buf *b = buf_new(owner, text.n);
    if (!b)
        return NULL;
    memcpy(b->p, text.p, text.n);
    b->n = text.n;
    return b;
}

void error_pages_init(struct error_pages *pages, struct mem_owner *owner)
{
    *pages = (struct error_pages){.owner = owner};
}

void error_pages_fini(struct error_pages *pages)
{
    for (size_t i = 0; i < COUNT_OF(pages->html); i++) {
        buf_release(&pages->html[i]);
        buf_release(&pages->text[i]);
    }
}

void error_pages_share(struct error_pages *pages, const struct error_pages *site)
{
    error_pages_fini(pages);
    for (size_t i = 0; i < COUNT_OF(pages->html); i++)
        pages->html[i] = site->html[i] ? buf_hold(site->html[i]) : NULL;
}

struct buf *error_page(struct error_pages *pages, int status, bool html)
{
    if (status < ERROR_PAGE_MIN || status > ERROR_PAGE_MAX)
        return NULL;
    struct buf **at = (html ? pages->html : pages->text) + (status - ERROR_PAGE_MIN);
    if (!*at)
        *at = make_page(pages->owner, status, html);
    return *at;
}

bool error_page_wants_html(slice accept)
{
    /* More than text/plain: an Accept that is absent or says only "anything" wants neither. */
    return http_accept_quality(accept, SLICE("text/html")) >
           http_accept_quality(accept, SLICE("text/plain"));
}

/* ---- The site's own pages ---- */

/* The status that a file name NNN.html stands for, or 0. */
static int status_of_name(slice name)
{
    uint64_t status;
    if (name.n != 8 || !slice_has_suffix(name, SLICE(".html")) ||
        !num_u64(slice_head(name, 3), &status))
        return 0;
    return status >= ERROR_PAGE_MIN && status <= ERROR_PAGE_MAX ? (int)status : 0;
}

/* Fills *b from [fd]; 0 or -errno. */
static int read_all(int fd, struct buf *b)
{
    while (b->n < b->cap) {
        ssize_t n = read(fd, b->p + b->n, b->cap - b->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0; /* it has become shorter */
        b->n += (size_t)n;
    }
    return 0;
}

static int load_fd(struct error_pages *pages, int status, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size > (off_t)ERROR_PAGE_FILE_MAX)
        return -EFBIG;
    struct buf *b = buf_new(pages->owner, (size_t)st.st_size);
    if (!b)
        return -ENOMEM;
    int error = read_all(fd, b);
    if (error) {
        buf_release(&b);
        return error;
    }
    struct buf **at = &pages->html[status - ERROR_PAGE_MIN];
    buf_release(at);
    *at = b;
    return 0;
}

static int load_file(struct error_pages *pages, int status, int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int error = load_fd(pages, status, fd);
    close(fd);
    return error;
}

int error_pages_load(struct error_pages *pages, const char *path, int *status_out)
{
    *status_out = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    int loaded = 0, error = 0;
    for (struct dirent *d; !error && (d = readdir(dir));) {
        int status = status_of_name(slice_str(d->d_name));
        if (!status)
            continue;
        error = load_file(pages, status, dirfd(dir), d->d_name);
        *status_out = status;
        loaded++;
    }
    closedir(dir);
    if (error)
        return error;
    *status_out = 0;
    return loaded;
}
