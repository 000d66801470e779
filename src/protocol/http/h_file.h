/* h_file: the handler that serves a file tree. */
#ifndef PROTOCOL_HTTP_H_FILE_H
#define PROTOCOL_HTTP_H_FILE_H

#include "protocol/http/handler.h"
#include "service/vfs.h"

struct mime_table;

#define H_FILE_INDEX_MAX 8

struct h_file_settings {
    bool listing; /* directories without an index file are listed */
    bool hidden; /* names that begin with a dot are served too; else only /.well-known (RFC 8615) */
    bool files_only;    /* a directory is answered 404 */
    size_t max_entries; /* of a listing */
    /* Names that are looked for in a directory, in this order; index_count 0: none. Slices outlive
     * the handler. */
    slice index[H_FILE_INDEX_MAX];
    unsigned index_count;
    /* Lines ("Name: value\r\n") that answers with a file (200, 206, 304) have besides: checked by
     * exchange_check_field. Outlives the handler. */
    slice lines;
};

/* Suffixes of files that stand compressed beside others: for vfs_settings.siblings, in the order of
 * h_file's own table. */
void h_file_siblings(slice siblings[VFS_SIBLINGS_MAX]);

struct h_file {
    struct http_handler handler;
    /* read-only */
    struct vfs *vfs;
    const struct mime_table *mime;
    struct h_file_settings settings;
    struct mem_owner owner; /* "files" */
    struct work_lane *lane; /* where large listings are rendered */
};

/* No listings, nothing hidden, index.html and index.htm. */
void h_file_settings_default(struct h_file_settings *settings);

/* The status that tells a client of [error] (-errno) of the tree, for files and listings alike. */
int h_file_status(int error);

/* False without memory. [mime] outlives the handler; the handler outlives [vfs], whose nodes hold
 * what it prepared, and is finished after it. */
MUST_USE bool h_file_init(struct h_file *hf, struct loop *loop, struct mem_book *book,
                          struct vfs *vfs, const struct mime_table *mime,
                          const struct h_file_settings *settings);
void h_file_fini(struct h_file *hf);

#endif
