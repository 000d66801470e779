/* file_head: the header lines of a file's response, made once per node and kept with it. */
#ifndef PROTOCOL_HTTP_FILE_HEAD_H
#define PROTOCOL_HTTP_FILE_HEAD_H

#include "service/vfs.h"
#include "wire/http_accept.h"

struct file_head {
    struct shared shared;
    struct file_head *next; /* the same node in another role */
    /* read-only. The lines are one text; each slice is a part of it:
     *     Last-Modified, ETag, Vary | Accept-Ranges, Content-Encoding | Content-Type */
    slice validators; /* for 304: the first part */
    slice untyped;    /* the first two: for multipart/byteranges */
    slice all;
    slice type; /* the value of Content-Type */
    slice etag;
    /* private */
    struct mem_owner *owner;
    size_t bytes;
    enum http_coding coding;
};

/* The head that [node] has already for this coding, or NULL. */
struct file_head *file_head_find(struct vfs_node *node, enum http_coding coding);

/* Makes the head of [node], sent as [coding] of a file whose media type is [type]; it stays with
 * the node. [varies]: another request for the same name may get another coding. NULL without
 * memory. */
MUST_USE struct file_head *file_head_make(struct vfs_node *node, struct mem_owner *owner,
                                          enum http_coding coding, slice type, bool varies);

#endif
