/* tree: the life of a tree. */
#include "script/tree.h"

#include "base/check.h"
#include "base/fmt.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_FIRST_MS 1
#define LOOK_MOST_MS  64

/* What a version holds: a tree, or a form of it too. */
struct tree_hold {
    struct list_node link; /* in version->trees */
    struct tree *tree;
    struct tree_files *files; /* or NULL */
};

/* ---- The end ---- */

static bool is_unused(const struct tree *tree)
{
    LIST_EACH (n, &tree->files) {
        const struct tree_files *files = CONTAINER_OF(n, struct tree_files, link);
        if (work_lane_pending(files->file.lane))
            return false;
    }
    return vfs_is_unused(tree->vfs);
}

/* A listing's page may be on its way to a client still. The last heads went with the nodes. */
static bool is_all_sent(const struct tree *tree)
{
    LIST_EACH (n, &tree->files)
        if (CONTAINER_OF(n, struct tree_files, link)->file.owner.bytes)
            return false;
    return true;
}

static void free_tree(struct tree *tree)
{
    struct host *host = tree->host;
    vfs_free(&tree->vfs);
    for (struct list_node *n; (n = list_pop_front(&tree->files));) {
        struct tree_files *files = CONTAINER_OF(n, struct tree_files, link);
        h_file_fini(&files->file);
        mem_free(&host->owner, files->text, files->text_bytes);
        mem_free(&host->owner, files, sizeof *files);
    }
    list_remove(&tree->link);
    mem_free(&host->owner, tree, sizeof *tree + tree->path.n + 1);
}

static void on_look(struct timeout *t)
{
    struct tree *tree = CONTAINER_OF(t, struct tree, look);
    if (is_unused(tree) && is_all_sent(tree)) {
        free_tree(tree);
        return;
    }
    tree->look_ms = MIN(2 * tree->look_ms, LOOK_MOST_MS);
    struct loop *loop = tree->host->loop;
    timeout_set(loop_wheel(loop), t, loop_now_ms(loop) + tree->look_ms);
}

static void release(struct tree *tree)
{
    BUG_ON(tree->holders == 0);
    if (--tree->holders)
        return;
    tree->is_stopped = true;
    vfs_stop(tree->vfs);
    struct loop *loop = tree->host->loop;
    timeout_set(loop_wheel(loop), &tree->look, loop_now_ms(loop) + tree->look_ms);
}

/* ---- Opening ---- */

struct tree_open_job {
    struct work_job job;
    struct host *host;
    struct tree_open *open; /* NULL: given up */
    int fd;                 /* or -errno */
    struct stat st;
    char path[PATH_MAX];
    char real[PATH_MAX];
};

/* On a worker. */
static void run_open(struct work_job *job)
{
    struct tree_open_job *j = CONTAINER_OF(job, struct tree_open_job, job);
    j->fd = realpath(j->path, j->real) ? vfs_root_open(j->real) : -errno;
    if (j->fd < 0 || fstat(j->fd, &j->st) == 0)
        return;
    int error = -errno;
    close(j->fd);
    j->fd = error;
}

static struct tree *find_tree(const struct tree_open_job *j)
{
    LIST_EACH (n, &j->host->trees) {
        struct tree *tree = CONTAINER_OF(n, struct tree, link);
        if (!tree->is_stopped && tree->dev == j->st.st_dev && tree->ino == j->st.st_ino &&
            slice_is(tree->path, slice_str(j->real)))
            return tree;
    }
    return NULL;
}

/* Takes over the descriptor. NULL and *error_out. */
static struct tree *new_tree(const struct tree_open_job *j, int *error_out)
{
    struct host *host = j->host;
    slice path = slice_str(j->real);
    struct tree *tree = mem_alloc0(&host->owner, sizeof *tree + path.n + 1);
    *error_out = -ENOMEM;
    if (!tree) {
        close(j->fd);
        return NULL;
    }
    struct vfs_settings settings;
    vfs_settings_default(&settings);
    h_file_siblings(settings.siblings);
    tree->vfs = vfs_new_at(host->io, host->book, j->fd, &settings, error_out);
    if (!tree->vfs) {
        mem_free(&host->owner, tree, sizeof *tree + path.n + 1);
        return NULL;
    }
    memcpy(tree->text, path.p, path.n + 1);
    tree->host = host;
    tree->path = slice_of(tree->text, path.n);
    tree->dev = j->st.st_dev;
    tree->ino = j->st.st_ino;
    tree->look_ms = LOOK_FIRST_MS;
    list_init(&tree->files);
    timeout_init(&tree->look, on_look);
    list_push_back(&host->trees, &tree->link);
    return tree;
}

static void take_tree(struct tree_open *o, struct tree_open_job *j)
{
    o->error = j->fd < 0 ? j->fd : 0;
    if (o->error)
        return;
    o->tree = find_tree(j);
    if (o->tree)
        close(j->fd);
    else
        o->tree = new_tree(j, &o->error);
    j->fd = -EBADF;
}

static void open_done(struct work_job *job)
{
    struct tree_open_job *j = CONTAINER_OF(job, struct tree_open_job, job);
    struct tree_open *o = j->open;
    if (o) {
        o->job = NULL;
        take_tree(o, j);
    } else if (j->fd >= 0) {
        close(j->fd);
    }
    mem_free(&j->host->owner, j, sizeof *j);
    if (!o)
        return;
    struct tree *tree = o->tree;
    if (tree)
        tree->holders++;
    o->done(o);
    if (tree)
        release(tree);
}

int tree_open_start(struct tree_open *o, struct host *host, slice path)
{
    if (path.n >= PATH_MAX)
        return -ENAMETOOLONG;
    if (slice_find(path, '\0') >= 0)
        return -EINVAL;
    struct tree_open_job *j = mem_alloc0(&host->owner, sizeof *j);
    if (!j)
        return -ENOMEM;
    j->job = (struct work_job){.run = run_open, .done = open_done};
    j->host = host;
    j->open = o;
    memcpy(j->path, path.p, path.n);
    o->job = j;
    o->tree = NULL;
    o->error = 0;
    work_submit(host->lane, &j->job);
    return 0;
}

void tree_open_cancel(struct tree_open *o)
{
    if (o->job)
        o->job->open = NULL;
    o->job = NULL;
}

/* ---- What versions hold ---- */

static bool holds(const struct version *v, const struct tree *tree, const struct tree_files *files,
                  unsigned *count_out)
{
    *count_out = 0;
    LIST_EACH (n, &v->trees) {
        const struct tree_hold *hold = CONTAINER_OF(n, struct tree_hold, link);
        if (hold->tree == tree && hold->files == files)
            return true;
        ++*count_out;
    }
    return false;
}

static int add_hold(struct version *v, struct tree *tree, struct tree_files *files)
{
    unsigned count;
    if (holds(v, tree, files, &count))
        return 0;
    if (count >= TREES_MAX)
        return -E2BIG;
    struct tree_hold *hold = mem_alloc(&v->host->owner, sizeof *hold);
    if (!hold)
        return -ENOMEM;
    *hold = (struct tree_hold){.tree = tree, .files = files};
    list_push_back(&v->trees, &hold->link);
    tree->holders++;
    if (files)
        files->holders++;
    return 0;
}

int tree_keep(struct version *v, struct tree *tree)
{
    return add_hold(v, tree, NULL);
}

void tree_release_all(struct version *v)
{
    for (struct list_node *n; (n = list_pop_front(&v->trees));) {
        struct tree_hold *hold = CONTAINER_OF(n, struct tree_hold, link);
        if (hold->files)
            hold->files->holders--;
        release(hold->tree);
        mem_free(&v->host->owner, hold, sizeof *hold);
    }
}

/* ---- Forms ---- */

static bool is_same(const struct h_file_settings *a, const struct h_file_settings *b)
{
    if (a->listing != b->listing || a->hidden != b->hidden || a->files_only != b->files_only ||
        a->max_entries != b->max_entries || a->index_count != b->index_count ||
        !slice_is(a->lines, b->lines))
        return false;
    for (unsigned i = 0; i < a->index_count; i++)
        if (!slice_is(a->index[i], b->index[i]))
            return false;
    return true;
}

static slice keep_text(struct fmt *f, slice text)
{
    char *at = f->p;
    fmt_put(f, text);
    return slice_of(at, text.n);
}

/* Copies what *settings has slices of, and makes them point to the copies. */
static bool own_text(struct tree_files *files, struct mem_owner *owner,
                     struct h_file_settings *settings)
{
    size_t bytes = settings->lines.n + 1;
    for (unsigned i = 0; i < settings->index_count; i++)
        bytes += settings->index[i].n;
    char *text = mem_alloc(owner, bytes);
    if (!text)
        return false;
    struct fmt f = fmt_on(text, bytes);
    settings->lines = keep_text(&f, settings->lines);
    for (unsigned i = 0; i < settings->index_count; i++)
        settings->index[i] = keep_text(&f, settings->index[i]);
    mem_free(owner, files->text, files->text_bytes);
    files->text = text;
    files->text_bytes = bytes;
    return true;
}

/* A form that no version holds any more is used again: nobody's request is at work on it. */
static struct tree_files *find_files(const struct tree *tree,
                                     const struct h_file_settings *settings,
                                     struct tree_files **spare)
{
    *spare = NULL;
    LIST_EACH (n, &tree->files) {
        struct tree_files *files = CONTAINER_OF(n, struct tree_files, link);
        if (is_same(&files->file.settings, settings))
            return files;
        if (!files->holders && !work_lane_pending(files->file.lane))
            *spare = files;
    }
    return NULL;
}

static int new_files(struct tree *tree, const struct h_file_settings *settings,
                     struct tree_files **out)
{
    struct host *host = tree->host;
    if (tree->file_count >= TREE_FILES_MAX)
        return -E2BIG;
    struct tree_files *files = mem_alloc0(&host->owner, sizeof *files);
    if (!files)
        return -ENOMEM;
    struct h_file_settings own = *settings;
    if (!own_text(files, &host->owner, &own))
        goto err0;
    if (!h_file_init(&files->file, host->loop, host->book, tree->vfs, host->mime, &own))
        goto err1;
    list_push_back(&tree->files, &files->link);
    tree->file_count++;
    *out = files;
    return 0;
err1:
    mem_free(&host->owner, files->text, files->text_bytes);
err0:
    mem_free(&host->owner, files, sizeof *files);
    return -ENOMEM;
}

int tree_keep_files(struct version *v, struct tree *tree, const struct h_file_settings *settings,
                    struct tree_files **files_out)
{
    struct tree_files *spare, *files = find_files(tree, settings, &spare);
    if (!files && spare) {
        struct h_file_settings own = *settings;
        if (!own_text(spare, &tree->host->owner, &own))
            return -ENOMEM;
        spare->file.settings = own;
        files = spare;
    }
    int error = files ? 0 : new_files(tree, settings, &files);
    if (error)
        return error;
    *files_out = files;
    return add_hold(v, tree, files);
}

/* ---- Status ---- */

void tree_status_log(struct host *host)
{
    LIST_EACH (n, &host->trees) {
        const struct tree *tree = CONTAINER_OF(n, struct tree, link);
        struct vfs_stats s;
        vfs_stats(tree->vfs, &s);
        log_line(host->log, LOG_NOTICE, "status.tree",
                 "files of %s%s: %u holders, %zu names known, %zu files open, %zu bytes of "
                 "content, %llu hits, %llu misses",
                 tree->text, tree->is_stopped ? " (ending)" : "", tree->holders, s.entries,
                 s.open_files, s.content_bytes, (unsigned long long)s.hits,
                 (unsigned long long)s.misses);
    }
}
