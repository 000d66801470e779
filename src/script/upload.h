/* upload: a file that a client sends with a form, written to a temporary file on a worker.
 *
 * Owned by its request: in the list r->uploads from upload_new on. When the request is over the
 * file is removed, unless the script took it over. At most one job of it is away; meanwhile nothing
 * but upload_end may be called. It is linked to the script's object (META_UPLOAD): l_link.h. */
#ifndef SCRIPT_UPLOAD_H
#define SCRIPT_UPLOAD_H

#include "base/list.h"
#include "loop/work.h"
#include "script/l_api.h"
#include "script/l_link.h"

#define UPLOAD_PATH_MAX 1024
#define UPLOAD_FLUSH    (64 * KIB) /* so much is collected for one write */

struct l_task;
struct upload;

/* The userdata; its value is the table of fields. */
struct l_upload {
    struct l_link *link; /* to the upload: nowhere when the request is over, or there is no file */
};

enum upload_job { UPLOAD_WRITE, UPLOAD_FINISH, UPLOAD_MOVE, UPLOAD_REMOVE };

struct upload {
    /* read-only */
    struct list_node link;
    uint64_t bytes;             /* in all, with what is not written yet */
    size_t buffered;            /* of them, not written yet */
    int error;                  /* of the last job: 0 or -errno */
    bool is_finished;           /* all is written */
    bool is_kept;               /* the script has it */
    char path[UPLOAD_PATH_MAX]; /* from the first write on */
    /* private */
    struct work_job job;
    struct version *version; /* held */
    struct l_link *object;   /* to the userdata, or NULL */
    struct l_task *waiter;
    enum upload_job what;
    int fd;
    bool is_away, is_over, is_there; /* there is a file */
    char *buffer;
    size_t room;
    char to[UPLOAD_PATH_MAX];
};

/* For a file in [directory], which is shorter than UPLOAD_PATH_MAX - 64. Nothing is made before the
 * first write. NULL without memory. */
MUST_USE struct upload *upload_new(struct version *v, struct list_node *uploads, slice directory);

/* Collects a piece. False without memory. */
MUST_USE bool upload_add(struct upload *u, slice data);

/* Submits a job, and waits for it: to be returned by a binding function. k looks at the handle
 * first: when its upload is NULL the request has ended meanwhile. RAISES. */
int upload_run(lua_State *L, struct upload *u, enum upload_job what, lua_KFunction k);

/* The request is over, or its form is refused: ends all of the list. */
void upload_end_all(struct list_node *uploads);

/* The fields' table on the top of L becomes an upload object, in its place; [u] may be NULL.
 * RAISES. */
void l_push_upload(lua_State *L, struct upload *u);

extern const struct l_function l_upload_methods[];
extern const size_t l_upload_method_count;

#endif
