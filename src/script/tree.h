/* tree: file trees of the host: all units and protocols that name the same directory share one, and
 * so its cache.
 *
 * A tree is counted by versions. When the last that held it is gone it is stopped; it is freed when
 * nothing of it is on its way to a client any more, after some turns. host_is_empty waits for that.
 */
#ifndef SCRIPT_TREE_H
#define SCRIPT_TREE_H

#include "protocol/http/h_file.h"
#include "script/unit.h"

#define TREES_MAX      256 /* that a version may hold, with the forms in which each is served */
#define TREE_FILES_MAX 64  /* forms in which one tree is served at once */

struct tree;
struct tree_open_job;

/* A form in which a tree is served over HTTP: its handler, by options. */
struct tree_files {
    struct h_file file;
    /* private */
    struct list_node link;
    unsigned holders;
    char *text; /* what the settings' slices are slices of */
    size_t text_bytes;
};

struct tree {
    /* read-only */
    struct host *host;
    struct vfs *vfs;
    slice path; /* canonical */
    /* private */
    struct list_node link; /* in host->trees */
    unsigned holders;
    bool is_stopped;
    dev_t dev;
    ino_t ino;
    struct list_node files;
    unsigned file_count;
    struct timeout look; /* whether it can be freed */
    uint32_t look_ms;
    char text[];
};

/* A request for a tree; embedded in the caller. */
struct tree_open {
    /* public */
    void (*done)(struct tree_open *o);
    /* read-only */
    int error; /* 0 or -errno */
    struct tree
        *tree; /* held for the caller until done has returned: tree_keep holds it for longer */
    /* private */
    struct tree_open_job *job;
};

/* Opens the directory [path] on a worker, unless it is open already; done is called in a later
 * turn. 0 or -errno: it is not then. */
MUST_USE int tree_open_start(struct tree_open *o, struct host *host, slice path);

/* done will not be called. Harmless afterwards, and on a zeroed struct. */
void tree_open_cancel(struct tree_open *o);

/* The version holds the tree until it ends. -ENOMEM, -E2BIG: it holds too many. */
MUST_USE int tree_keep(struct version *v, struct tree *tree);

/* The form of [tree] with these settings (which are copied), held by the version until it ends; the
 * same settings give the same form. -ENOMEM, -E2BIG. */
MUST_USE int tree_keep_files(struct version *v, struct tree *tree,
                             const struct h_file_settings *settings, struct tree_files **files_out);

/* Lets go of all that the version holds. */
void tree_release_all(struct version *v);

/* To the log. */
void tree_status_log(struct host *host);

#endif
