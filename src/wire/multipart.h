/* multipart: bodies of multipart/form-data (RFC 7578, RFC 2046 5.1), piece by piece.
 *
 *     bool ok = multipart_init(&m, content_type, room, sizeof room, parts_max, &why);
 *     for each piece [in] of the body:
 *         while ((event = multipart_next(&m, &in)) != MULTIPART_MORE) ...
 *     at the end of the body: multipart_is_done(&m)?
 *
 * What comes out depends on the bytes alone, but for how data is cut into pieces. Data is handed
 * out as it comes, nothing of it is kept: the only memory is [room], for the header lines of one
 * part.
 *
 * Strict: nothing but empty lines before the first boundary, nothing but blanks behind a
 * boundary, every part is form-data and has one name, no transfer coding. What follows the last
 * boundary's line is ignored. Percent signs in names stay: browsers write a quote as %22, others
 * mean what they write. */
#ifndef WIRE_MULTIPART_H
#define WIRE_MULTIPART_H

#include "base/slice.h"

#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 5.1.1 */

enum multipart_event {
    MULTIPART_ERROR = -1, /* .why; and so for ever */
    MULTIPART_MORE,       /* all of the input was used */
    MULTIPART_PART,       /* begins: .name, .filename, .content_type */
    MULTIPART_DATA,       /* .data, never empty */
    MULTIPART_PART_END,
    MULTIPART_END, /* of the last part; no event but an error can follow */
};

struct multipart {
    /* read-only. Of the part: valid until its MULTIPART_PART_END. What a client calls its file is
     * no path to write to. */
    slice name;
    slice filename;     /* .p is NULL: it is no file */
    slice content_type; /* .p is NULL: not said, text/plain (RFC 7578 4.4) */
    slice data;         /* MULTIPART_DATA: of the input or of *m, until the next call */
    unsigned parts;     /* that have begun */
    const char *why;    /* a sentence (a literal) */
    /* private */
    uint8_t state;
    uint8_t matched; /* bytes of the delimiter that have just been read */
    uint8_t delimiter_n;
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF "--" boundary */
    unsigned parts_max;
    char *room;
    size_t room_n, head_n;
};

/* [content_type]: the field's value. [room] takes the header lines of a part; more than [room_n]
 * bytes of them, or more than [parts_max] parts, are an error. It must outlive *m. False: it is not
 * multipart/form-data, or its boundary is missing or malformed. */
MUST_USE bool multipart_init(struct multipart *m, slice content_type, char *room, size_t room_n,
                             unsigned parts_max, const char **why);

/* The next event in *in, which becomes what is behind it. */
MUST_USE enum multipart_event multipart_next(struct multipart *m, slice *in);

/* MULTIPART_END has been. When the body ends before, it was cut off. */
bool multipart_is_done(const struct multipart *m);

#endif
