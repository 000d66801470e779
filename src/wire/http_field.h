/* http_field: names of methods, fields and statuses (RFC 9110), for any version of HTTP. */
#ifndef WIRE_HTTP_FIELD_H
#define WIRE_HTTP_FIELD_H

#include "base/slice.h"

/* Methods whose meaning we know; all others are HTTP_OTHER (answered 501). */
enum http_method {
    HTTP_OTHER,
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_CONNECT,
    HTTP_OPTIONS,
    HTTP_TRACE,
    HTTP_PATCH,
    HTTP_PROPFIND,
    HTTP_PROPPATCH,
    HTTP_MKCOL,
    HTTP_COPY,
    HTTP_MOVE,
    HTTP_LOCK,
    HTTP_UNLOCK,
    HTTP_METHOD_COUNT
};

/* Case matters (RFC 9110 9.1). */
enum http_method http_method_of(slice name);
slice http_method_name(enum http_method method);

/* Fields that the server itself looks at. */
enum http_field_id {
    FIELD_OTHER,
    FIELD_ACCEPT,
    FIELD_ACCEPT_ENCODING,
    FIELD_AUTHORIZATION,
    FIELD_CONNECTION,
    FIELD_CONTENT_ENCODING,
    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_TYPE,
    FIELD_COOKIE,
    FIELD_EXPECT,
    FIELD_HOST,
    FIELD_IF_MATCH,
    FIELD_IF_MODIFIED_SINCE,
    FIELD_IF_NONE_MATCH,
    FIELD_IF_RANGE,
    FIELD_IF_UNMODIFIED_SINCE,
    FIELD_RANGE,
    FIELD_REFERER,
    FIELD_TE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_USER_AGENT,
    FIELD_ID_COUNT
};

/* Case does not matter (RFC 9110 5.1). */
enum http_field_id http_field_id_of(slice name);

struct http_field {
    slice name;  /* as it was sent */
    slice value; /* without the white space around it */
    enum http_field_id id;
};

/* "Not Found" for 404; "Unknown" for a number that no RFC names. */
slice http_status_reason(int status);

/* tchar of RFC 9110 5.6.2, for every byte of [s], and at least one. */
bool http_is_token(slice s);

#endif
