/* error_page: made once per status and form, then kept. */
#include "protocol/http/error_page.h"

#include "base/fmt.h"
#include "wire/http_accept.h"
#include "wire/http_field.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const struct {
    int status;
    const char *help;
} helps[] = {
    {400, "The request could not be understood. If a link led here, it is broken."},
    {401, "A name and password are needed."},
    {403, "This may not be read. Whoever runs this server can change that."},
    {404, "There is nothing of this name here. It may have moved, or the address has a typing error."},
    {405, "This cannot be done with what stands at this address. It can be read with GET."},
    {406, "It is not there in a form that your program takes."},
    {408, "The request took too long to arrive. Please try again."},
    {411, "The request must say how long its body is (Content-Length)."},
    {412, "What you wanted to work on has changed meanwhile. Load it again first."},
    {413, "What was sent is larger than this server takes."},
    {414, "The address is longer than this server takes."},
    {415, "This server does not take content of that type here."},
    {416, "The file does not have the part that was asked for. Ask again without Range."},
    {417, "This server does not know what Expect asks for. Leave that field out."},
    {421, "This server does not answer for the host that was asked."},
    {429, "Too many requests. Please wait a moment."},
    {431, "The request's header is larger than this server takes. Clearing the cookies of this site may help."},
    {500, "Something went wrong here; it has been noted. Please try again later."},
    {501, "This server does not know this method."},
    {503, "The server is busy. Please try again in a moment."},
    {505, "This server speaks HTTP/1.1 and HTTP/1.0."},
};

static const char *help_of(int status)
{
    for (size_t i = 0; i < COUNT_OF(helps); i++)
        if (helps[i].status == status)
            return helps[i].help;
    return status < 500 ? "The request cannot be answered." : "Something went wrong here. Please try again later.";
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

static void put_html(struct fmt *f, int status)
{
    slice reason = http_status_reason(status);
    fmt_printf(f, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>%d %.*s</title>\n<style>\n",
               status, SLICE_ARGS(reason));
    fmt_put(f, SLICE(":root{color-scheme:light dark;--ink:#1c2333;--soft:#5b6478;--paper:#fbfaf7;--mark:#7048c8}\n"
                     "@media(prefers-color-scheme:dark){:root{--ink:#e8e6f0;--soft:#a3a6b8;--paper:#15161d;--mark:#b79cff}}\n"
                     "body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);"
                     "font:1.05rem/1.6 system-ui,sans-serif}\n"
                     "main{max-width:34rem;padding:2rem}b{display:block;font-size:4.5rem;line-height:1;color:var(--mark)}\n"
                     "h1{font-size:1.6rem;margin:.6rem 0}p{color:var(--soft);margin:0}a{color:var(--mark)}\n"
                     "</style></head><body><main>"));
    fmt_printf(f, "<b>%d</b><h1>%.*s</h1><p>%s</p>", status, SLICE_ARGS(reason), help_of(status));
    fmt_put(f, SLICE("</main></body></html>\n"));
}

static struct buf *make_page(struct mem_owner *owner, int status, bool html)
{
    char room[2048];
    struct fmt f = fmt_on(room, sizeof room);
    if (html)
        put_html(&f, status);
    else
        fmt_printf(&f, "%d %.*s\n%s\n", status, SLICE_ARGS(http_status_reason(status)), help_of(status));
    BUG_ON(f.full);
    slice text = fmt_done(&f);
    struct buf *b = buf_new(owner, text.n);
    if (!b)
        return NULL;
    memcpy(b->p, text.p, text.n);
    b->n = text.n;
    return b;
}

struct buf *error_page(struct error_pages *pages, int status, bool html)
{
    if (status < ERROR_PAGE_MIN || status > ERROR_PAGE_MAX)
        return NULL;
    struct buf **at = &(html ? pages->html : pages->text)[status - ERROR_PAGE_MIN];
    if (!*at)
        *at = make_page(pages->owner, status, html);
    return *at;
}

bool error_page_wants_html(slice accept)
{
    /* A wildcard alone is what curl and other programs send. */
    return accept.p && memmem(accept.p, accept.n, "text/html", 9) && http_accept_quality(accept, SLICE("text/html")) > 0;
}

/* 1: taken; 0: there is no such file; -errno. */
static int load_one(struct error_pages *pages, int dir, int status)
{
    char name[16];
    (void)snprintf(name, sizeof name, "%d.html", status);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int result = -ENOMEM;
    struct buf *b = buf_new(pages->owner, ERROR_PAGE_FILE_MAX + 1);
    if (b) {
        ssize_t n = read(fd, b->p, b->cap);
        result = n < 0 ? -errno : n > (ssize_t)ERROR_PAGE_FILE_MAX ? -EFBIG : 1;
        b->n = n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (result < 0) {
        buf_release(&b);
        return result;
    }
    struct buf **at = &pages->html[status - ERROR_PAGE_MIN];
    buf_release(at);
    *at = b;
    return 1;
}

int error_pages_load(struct error_pages *pages, const char *path, int *status_out)
{
    *status_out = 0;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    int taken = 0;
    for (int status = ERROR_PAGE_MIN; status <= ERROR_PAGE_MAX && taken >= 0; status++) {
        int result = load_one(pages, dir, status);
        if (result < 0)
            *status_out = status;
        taken = result < 0 ? result : taken + result;
    }
    close(dir);
    return taken;
}
