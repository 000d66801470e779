/* file_list: answers with the listing of a directory: a page, or JSON when that was asked for. */
#ifndef PROTOCOL_HTTP_FILE_LIST_H
#define PROTOCOL_HTTP_FILE_LIST_H

#include "protocol/http/exchange.h"
#include "protocol/http/h_file.h"

/* ex->path is a directory and ends with "/". */
void file_list_send(struct exchange *ex, struct h_file *hf);

#endif
