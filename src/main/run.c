/* run: a script is the configuration. Everything hangs off struct app on the stack of run_script(). */
#include "main/run.h"

#include "base/log.h"
#include "main/announce.h"
#include "main/privs.h"
#include "protocol/http/http.h"
#include "script/declare.h"
#include "script/http_unit.h"
#include "script/settings.h"
#include "script/unit.h"
#include "service/accesslog.h"
#include "service/logsink.h"
#include "wire/mime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_KEPT_FREE 200
#define WIND_DOWN_MS    1000

struct app {
    struct mem_book book;
    struct mem_owner owner;
    struct log log;
    struct logsink *log_sink, *access_sink;
    struct accesslog accesslog;
    struct loop *loop;
    struct io io;
    struct mime_table *mime;
    struct host host;
    struct unit *unit;
    struct timeout drain_timeout;
    int64_t drain_ms;
    bool is_serving, is_draining;
    int status;
};

PRINTF(1, 2) static bool complain(const char *format, ...)
{
    char text[UNIT_ERROR_MAX + 64];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "medusa: %s\n", text);
    return false;
}

/* ---- The end ---- */

static void on_drain_timeout(struct timeout *t)
{
    loop_stop(CONTAINER_OF(t, struct app, drain_timeout)->loop);
}

static void check_drained(struct app *a)
{
    if (list_is_empty(&a->host.leaving))
        loop_stop(a->loop);
}

static void look_whether_drained(struct timeout *t);

static void drain(struct app *a)
{
    a->is_draining = true;
    log_line(&a->log, LOG_NOTICE, "drain.begin", "no new connections; open ones end when their requests are answered");
    LIST_EACH (n, &a->host.units)
        declare_retire_all(CONTAINER_OF(n, struct unit, link));
    check_drained(a);
    a->drain_until_ms = loop_now_ms(a->loop) + a->drain_ms;
    look_whether_drained(&a->drain_timeout);
}
