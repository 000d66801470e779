/* read_file: a whole small file, read on a worker. For scripts and what they include; what clients
 * ask for goes through service/vfs. */
#ifndef SCRIPT_READ_FILE_H
#define SCRIPT_READ_FILE_H

#include "base/slice.h"
#include "loop/work.h"

struct host;
struct read_job;

struct read_file {
    /* read-only, from done on until read_file_fini */
    int error; /* 0, or -errno; -EFBIG: larger than allowed */
    slice text;
    /* private */
    struct host *host;
    struct read_job *job;
    void (*done)(struct read_file *file);
};

/* [done] is called in a later turn. 0, or -errno: done is not called then. */
MUST_USE int read_file_start(struct read_file *file, struct host *host, slice path, size_t max,
                             void (*done)(struct read_file *file));

/* Frees the text; before done was called: gives up. Harmless on a zeroed struct. */
void read_file_fini(struct read_file *file);

/* The text of a script without its first line when that begins with "#" ("#!/usr/bin/env medusa");
 * line numbers stay. */
slice script_text(slice text);

#endif
