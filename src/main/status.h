/* status: what the process is doing, as text for people. */
#ifndef MAIN_STATUS_H
#define MAIN_STATUS_H

#include "protocol/http/http.h"
#include "service/vfs.h"

/* Writes it to the log, line by line. */
void status_log(struct log *log, const struct http_server *http, const struct vfs *vfs);

#endif
