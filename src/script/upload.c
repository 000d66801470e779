/* upload: see upload.h. */
#include "script/upload.h"

#include "script/host.h"
#include "script/l_task.h"
#include "script/libs.h"

#include "base/check.h"
#include "wire/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

static struct mem_owner *owner_of(const struct upload *u)
{
    return &u->version->unit->heap;
}

/* ---- On a worker ---- */

/* A name of ours: what the client calls its file is no path to write to. */
static int make_file(struct upload *u)
{
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return -EIO;
    size_t n = strlen(u->path);
    struct fmt f = fmt_on(u->path + n, sizeof u->path - n);
    fmt_str(&f, "/.upload-");
    hex_put(slice_of(random, sizeof random), &f);
    fmt_char(&f, 0);
    u->fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (u->fd < 0) {
        u->path[n] = 0;
        return -errno;
    }
    u->is_there = true;
    return 0;
}

static int write_buffer(struct upload *u)
{
    if (u->fd < 0) {
        int error = make_file(u);
        if (error < 0)
            return error;
    }
    for (size_t done = 0; done < u->buffered;) {
        ssize_t n = write(u->fd, u->buffer + done, u->buffered - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (size_t)n;
    }
    u->buffered = 0;
    return 0;
}

static int close_file(struct upload *u)
{
    int fd = u->fd;
    u->fd = -1;
    return fd >= 0 && close(fd) < 0 ? -errno : 0;
}

static int finish_file(struct upload *u)
{
    int error = write_buffer(u);
    int at_close = close_file(u);
    return error < 0 ? error : at_close;
}

static int move_file(struct upload *u)
{
    return rename(u->path, u->to) < 0 ? -errno : 0;
}

static int remove_file(struct upload *u)
{
    (void)close_file(u);
    return u->is_there && unlink(u->path) < 0 ? -errno : 0;
}

static void run(struct work_job *job)
{
    static int (*const jobs[])(struct upload * u) = {[UPLOAD_WRITE] = write_buffer,
                                                     [UPLOAD_FINISH] = finish_file,
                                                     [UPLOAD_MOVE] = move_file,
                                                     [UPLOAD_REMOVE] = remove_file};
    struct upload *u = CONTAINER_OF(job, struct upload, job);
    u->error = jobs[u->what](u);
}

/* ---- In the loop ---- */

static void free_upload(struct upload *u)
{
    struct version *v = u->version;
    mem_free(owner_of(u), u->buffer, u->room);
    mem_free(owner_of(u), u, sizeof *u);
    version_release(v);
}

static void submit(struct upload *u, enum upload_job what)
{
    u->what = what;
    u->is_away = true;
    work_submit(u->version->host->lane, &u->job);
}

/* Nobody wants it any more, and no job is away. */
static void dispose(struct upload *u)
{
    if (u->fd >= 0 || (u->is_there && !u->is_kept))
        submit(u, UPLOAD_REMOVE);
    else
        free_upload(u);
}

static void done(struct work_job *job)
{
    struct upload *u = CONTAINER_OF(job, struct upload, job);
    struct l_task *waiter = u->waiter;
    u->is_away = false;
    u->waiter = NULL;
    u->is_finished |= u->what == UPLOAD_FINISH && !u->error;
    if (u->what == UPLOAD_MOVE && !u->error)
        u->is_kept = true;
    if (u->what == UPLOAD_REMOVE)
        free_upload(u);
    else if (u->is_over)
        dispose(u);
    if (waiter)
        l_task_wake(waiter);
}

struct upload *upload_new(struct version *v, struct list_node *uploads, slice directory)
{
    BUG_ON(directory.n >= UPLOAD_PATH_MAX - 64);
    struct upload *u = mem_alloc0(&v->unit->heap, sizeof *u);
    if (!u)
        return NULL;
    u->job = (struct work_job){.run = run, .done = done};
    u->version = v;
    u->fd = -1;
    memcpy(u->path, directory.p, directory.n);
    version_hold(v);
    list_push_back(uploads, &u->link);
    return u;
}

bool upload_add(struct upload *u, slice data)
{
    if (u->room - u->buffered < data.n) {
        size_t room = MAX(u->buffered + data.n, MIN(u->room * 2, UPLOAD_FLUSH * 2));
        char *p = u->buffer ? mem_resize(owner_of(u), u->buffer, u->room, room)
                            : mem_alloc(owner_of(u), room);
        if (!p)
            return false;
        u->buffer = p;
        u->room = room;
    }
    memcpy(u->buffer + u->buffered, data.p, data.n);
    u->buffered += data.n;
    u->bytes += data.n;
    return true;
}

static void cancel_wait(struct l_task *t, void *what)
{
    struct upload *u = what;
    u->waiter = NULL;
}

int upload_run(lua_State *L, struct upload *u, enum upload_job what, lua_KFunction k)
{
    l_task_check_wait(L, "writing to a file");
    u->waiter = l_task_current(L);
    submit(u, what);
    return l_task_wait(L, cancel_wait, u, k, 0);
}

void upload_end_all(struct list_node *uploads)
{
    for (struct list_node *n; (n = list_pop_front(uploads));) {
        struct upload *u = CONTAINER_OF(n, struct upload, link);
        l_link_cut(&u->object);
        u->is_over = true;
        if (!u->is_away)
            dispose(u);
    }
}

/* ---- Objects ---- */

void l_push_upload(lua_State *L, struct upload *u)
{
    struct l_upload *handle = l_new_object(L, META_UPLOAD, sizeof *handle, 1);
    if (u)
        u->object = handle->link = l_link_new(L, u);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
}

static int collect(lua_State *L)
{
    struct l_upload *handle = lua_touserdata(L, 1);
    (void)l_link_drop(&handle->link);
    return 0;
}

/* NULL: there is none any more; what to return is on the stack. */
static struct upload *check_upload(lua_State *L)
{
    struct upload *u = l_link_object(l_check_object(L, 1, META_UPLOAD, "upload"));
    if (!u)
        l_fail(L, "there is no file: it came without req:form's uploads, or its request is over");
    else if (u->is_away)
        luaL_error(L, "another task is moving this file");
    else if (u->is_kept)
        l_fail(L, "the file was taken over already");
    else
        return u;
    return NULL;
}

static int moved(lua_State *L, int status, lua_KContext ctx)
{
    const struct upload *u = l_link_object(lua_touserdata(L, 1));
    if (!u)
        return l_fail(L, "the request is over");
    if (u->error == -EXDEV)
        return l_fail(L,
                      "the directory of uploads and the new path must be on the same file system");
    if (u->error)
        return l_fail_errno(L, u->error);
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "path");
    lua_settop(L, 2);
    return 1;
}

static int l_move_to(lua_State *L)
{
    struct upload *u = check_upload(L);
    if (!u)
        return 2;
    slice to = l_check_slice(L, 2);
    luaL_argcheck(L, to.n && to.n < sizeof u->to && !memchr(to.p, 0, to.n), 2,
                  "a path is expected, of at most 1023 bytes");
    lua_settop(L, 2);
    l_task_check_wait(L, "upload:move_to");
    memcpy(u->to, to.p, to.n + 1);
    return upload_run(L, u, UPLOAD_MOVE, moved);
}

static int l_keep(lua_State *L)
{
    struct upload *u = check_upload(L);
    if (!u)
        return 2;
    u->is_kept = true;
    lua_pushstring(L, u->path);
    return 1;
}

const struct l_function l_upload_methods[] = {
    {"upload:move_to", l_move_to, "(path) -> path | nil, error",
     "The file gets that name (what had it before is replaced) and stays. Both directories must be "
     "on one file system.",
     true},
    {"upload:keep", l_keep, "() -> path | nil, error",
     "The file stays where it is, upload.path, when the request is over."},
    {"upload.filename", NULL, "",
     "What the client calls the file: not to be used as a path as it is."},
    {"upload.type", NULL, "", "The type that the client says it has."},
    {"upload.size", NULL, "", "Bytes."},
    {"upload.path", NULL, "",
     "Where the file is, with req:form's option uploads; it is removed when the request is over."},
    {"upload.content", NULL, "", "The file's bytes, without that option."},
};
const size_t l_upload_method_count = COUNT_OF(l_upload_methods);

void l_open_upload(lua_State *L)
{
    const struct l_class class = {.meta = META_UPLOAD,
                                  .name = "upload",
                                  .methods = l_upload_methods,
                                  .count = COUNT_OF(l_upload_methods),
                                  .index = l_index_own,
                                  .gc = collect};
    l_make_meta(L, &class);
}
