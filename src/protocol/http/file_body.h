/* file_body: sends a file, or the ranges of it that were asked for (RFC 9110 14). */
#ifndef PROTOCOL_HTTP_FILE_BODY_H
#define PROTOCOL_HTTP_FILE_BODY_H

#include "protocol/http/exchange.h"
#include "protocol/http/file_head.h"

/* Answers [ex] with 200, 206 or 416. [node] is held as long as it is needed. */
void file_body_send(struct exchange *ex, struct vfs *vfs, struct vfs_node *node,
                    const struct file_head *head);

#endif
