/* l_form: req:form{...}: the fields and files of an HTML form.
 *
 * The body is taken in pieces as they come (l_body.c). Fields stay in memory, within a limit; files
 * go to disk by way of struct upload, and while one is written the body waits: a client that sends
 * faster than the disk takes fills no memory.
 *
 * Slots of the stack, the same in every step: */
#include "script/http_unit.h"

#include "script/l_encodings.h"
#include "script/l_task.h"
#include "script/l_text.h"
#include "script/upload.h"

#include "wire/form.h"
#include "wire/multipart.h"

enum slot { REQUEST = 1, OPTIONS, FORM, RESULT, TEXT, FILE_TABLE, NAME };

#define HEAD_MAX 4096 /* header lines of one part */

struct form_options {
    uint64_t max, max_file, max_files, max_parts;
    bool lists;
};

/* In a userdata. */
struct form {
    struct form_options o;
    struct multipart m;
    struct l_text text;    /* of the body, or of the part that is being read */
    struct upload *upload; /* the part's */
    size_t used;           /* of r->body */
    uint64_t held;         /* bytes of names and values */
    unsigned files;
    bool is_multipart, is_file, has_directory, is_writing;
    slice directory; /* of the option's string */
    char head[HEAD_MAX];
};

#define AT(member) offsetof(struct form_options, member)

const struct l_option l_form_options[] = {
    {"max", OPTION_SIZE, AT(max), 1, (uint64_t)1 << 30,
     "most bytes of names and values (1M), and of files that come as strings"},
    {"uploads", OPTION_OTHER, 0, 0, 0, "the directory for files; without, files are strings"},
    {"max_file", OPTION_SIZE, AT(max_file), 1, (uint64_t)1 << 40, "most bytes of one file (64M)"},
    {"max_files", OPTION_COUNT, AT(max_files), 0, 10000, "most files (20)"},
    {"max_parts", OPTION_COUNT, AT(max_parts), 1, 100000, "most fields and files (1000)"},
    {"lists", OPTION_BOOL, AT(lists), 0, 0,
     "every value is a list, because a name may be there several times"},
};
const size_t l_form_option_count = COUNT_OF(l_form_options);

/* ---- Results ---- */

/* The value on the top is one of the name at [name]; it is popped. */
static void store(lua_State *L, const struct form *f, int name)
{
    lua_pushvalue(L, name);
    if (!f->o.lists) {
        lua_insert(L, -2);
        lua_rawset(L, RESULT);
        return;
    }
    if (lua_rawget(L, RESULT) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 1, 0);
        lua_pushvalue(L, name);
        lua_pushvalue(L, -2);
        lua_rawset(L, RESULT);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

/* nil and a sentence; what was written so far goes. */
PRINTF(3, 4) static int refuse(lua_State *L, struct l_request *r, const char *format, ...)
{
    va_list args;
    char text[256];
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (r->ex)
        upload_end_all(&r->uploads);
    return l_fail(L, text);
}

static int refuse_size(lua_State *L, struct l_request *r, const char *what, uint64_t max)
{
    return refuse(L, r, "%s: more than %llu bytes", what, (unsigned long long)max);
}

#define TOO_LARGE "the form is too large"

static bool hold(struct form *f, size_t n)
{
    f->held += n;
    return f->held <= f->o.max;
}

/* ---- application/x-www-form-urlencoded ---- */

static int read_pairs(lua_State *L, struct l_request *r, struct form *f)
{
    slice rest = slice_of(f->text.p, f->text.n);
    uint64_t count = 0;
    for (struct form_pair pair; form_next(&rest, &pair);) {
        if (++count > f->o.max_parts)
            return refuse(L, r, "the form has more than %llu fields",
                          (unsigned long long)f->o.max_parts);
        l_push_form_decoded(L, pair.name);
        lua_replace(L, NAME);
        l_push_form_decoded(L, pair.value);
        store(L, f, NAME);
    }
    lua_settop(L, RESULT);
    return 1;
}

/* ---- multipart/form-data ---- */

static void set_field(lua_State *L, const char *name, slice text)
{
    l_push_slice(L, text);
    lua_setfield(L, FILE_TABLE, name);
}

/* 0, or what to return. */
static int begin_part(lua_State *L, struct l_request *r, struct form *f)
{
    const struct multipart *m = &f->m;
    f->is_file = m->filename.p != NULL;
    f->text.n = 0;
    f->upload = NULL;
    l_push_slice(L, m->name);
    lua_replace(L, NAME);
    if (!hold(f, m->name.n + (f->is_file ? m->filename.n + m->content_type.n : 0)))
        return refuse_size(L, r, TOO_LARGE, f->o.max);
    if (!f->is_file)
        return 0;
    if (++f->files > f->o.max_files)
        return refuse(L, r, "the form has more than %llu files",
                      (unsigned long long)f->o.max_files);
    lua_createtable(L, 0, 4);
    lua_replace(L, FILE_TABLE);
    set_field(L, "filename", m->filename);
    set_field(L, "type", m->content_type.p ? m->content_type : SLICE("application/octet-stream"));
    if (!f->has_directory)
        return 0;
    f->upload = upload_new(version_of(L), &r->uploads, f->directory);
    return f->upload ? 0 : refuse(L, r, "not enough memory");
}

static int add_data(lua_State *L, struct l_request *r, struct form *f)
{
    slice data = f->m.data;
    if (f->upload) {
        if (f->upload->bytes + data.n > f->o.max_file)
            return refuse_size(L, r, "a file is too large", f->o.max_file);
        return upload_add(f->upload, data) ? 0 : refuse(L, r, "not enough memory");
    }
    if (f->is_file && f->text.n + data.n > f->o.max_file)
        return refuse_size(L, r, "a file is too large", f->o.max_file);
    if (!hold(f, data.n))
        return refuse_size(L, r, TOO_LARGE, f->o.max);
    l_text_put(&f->text, data);
    return 0;
}

/* A browser sends a file without name and content where none was chosen. */
static bool is_no_file(lua_State *L, const struct form *f)
{
    lua_getfield(L, FILE_TABLE, "filename");
    bool is_named = lua_rawlen(L, -1) > 0;
    lua_pop(L, 1);
    return !is_named && !(f->upload ? f->upload->bytes : f->text.n);
}

/* The part's value goes to the result. */
static void end_part(lua_State *L, struct form *f)
{
    if (!f->is_file) {
        l_text_push(&f->text);
        store(L, f, NAME);
        return;
    }
    lua_pushvalue(L, FILE_TABLE);
    lua_pushinteger(L, (lua_Integer)(f->upload ? f->upload->bytes : f->text.n));
    lua_setfield(L, -2, "size");
    if (f->upload)
        lua_pushstring(L, f->upload->path);
    else
        l_text_push(&f->text);
    lua_setfield(L, -2, f->upload ? "path" : "content");
    l_push_upload(L, f->upload);
    store(L, f, NAME);
    f->upload = NULL;
}

static int go_on(lua_State *L, int status, lua_KContext ctx);

static int write_part(lua_State *L, struct form *f, enum upload_job what)
{
    f->is_writing = true;
    return upload_run(L, f->upload, what, go_on);
}

/* Deals with what has come, up to its end or the next write. 0: more must come; else what to
 * return. */
static int read_parts(lua_State *L, struct l_request *r, struct form *f)
{
    while (f->used < r->body.n) {
        slice in = slice_skip(slice_of(r->body.p, r->body.n), f->used);
        enum multipart_event event = multipart_next(&f->m, &in);
        f->used = r->body.n - in.n;
        int result = 0;
        switch (event) {
        case MULTIPART_ERROR:
            return refuse(L, r, "the form is malformed: %s", f->m.why);
        case MULTIPART_MORE:
            return 0;
        case MULTIPART_PART:
            result = begin_part(L, r, f);
            break;
        case MULTIPART_DATA:
            result = add_data(L, r, f);
            if (!result && f->upload && f->upload->buffered >= UPLOAD_FLUSH)
                return write_part(L, f, UPLOAD_WRITE);
            break;
        case MULTIPART_PART_END:
            if (f->is_file && is_no_file(L, f))
                break;
            if (f->upload)
                return write_part(L, f, UPLOAD_FINISH);
            end_part(L, f);
            break;
        case MULTIPART_END:
            break;
        }
        if (result)
            return result;
    }
    return 0;
}

/* ---- The body ---- */

/* What a write has brought. 0, or what to return. */
static int after_write(lua_State *L, struct l_request *r, struct form *f)
{
    f->is_writing = false;
    if (f->upload->error)
        return refuse(L, r, "an uploaded file cannot be written: %s", strerror(-f->upload->error));
    if (f->upload->is_finished)
        end_part(L, f);
    return 0;
}

static int take_text(lua_State *L, struct l_request *r, struct form *f)
{
    if (!hold(f, r->body.n))
        return refuse_size(L, r, TOO_LARGE, f->o.max);
    l_text_put(&f->text, slice_of(r->body.p, r->body.n));
    return 0;
}

static int at_end(lua_State *L, struct l_request *r, struct form *f)
{
    if (!f->is_multipart)
        return read_pairs(L, r, f);
    if (!multipart_is_done(&f->m))
        return refuse(L, r, "the form is malformed: it ends in the middle");
    lua_settop(L, RESULT);
    return 1;
}

/* After every wait, for a piece or a write. */
static int go_on(lua_State *L, int status, lua_KContext ctx)
{
    struct l_request *r = lua_touserdata(L, REQUEST);
    struct form *f = lua_touserdata(L, FORM);
    if (r->ex && f->is_writing) {
        int result = after_write(L, r, f);
        if (result)
            return result;
    }
    for (;;) {
        if (!r->ex || r->body.has_failed)
            return l_body_give_broken(L, r);
        int result = f->is_multipart ? read_parts(L, r, f) : take_text(L, r, f);
        if (result)
            return result;
        l_body_free(version_of(L), r);
        f->used = 0;
        if (r->body.has_ended)
            return at_end(L, r, f);
        exchange_resume_body(r->ex);
        if (r->ex && !r->body.n && !r->body.has_ended && !r->body.has_failed)
            return l_body_wait(L, r, go_on);
    }
}

/* ---- The call ---- */

static void read_options(lua_State *L, struct form *f)
{
    f->o = (struct form_options){
        .max = 1 * MIB, .max_file = 64 * MIB, .max_files = 20, .max_parts = 1000};
    if (lua_isnil(L, OPTIONS))
        return;
    l_read_options(L, OPTIONS, "req:form", l_form_options, COUNT_OF(l_form_options), &f->o);
    if (lua_getfield(L, OPTIONS, "uploads") != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "req:form: uploads: a directory is expected, not %s",
                       luaL_typename(L, -1));
        f->directory = l_check_slice(L, -1);
        f->has_directory = true;
        if (!f->directory.n || f->directory.n >= UPLOAD_PATH_MAX - 64 ||
            memchr(f->directory.p, 0, f->directory.n))
            luaL_error(L,
                       "req:form: uploads: a directory is expected, its path at most %d bytes long",
                       UPLOAD_PATH_MAX - 65);
    }
    lua_pop(L, 1); /* the options' table keeps it alive */
}

static bool has_type(slice type, slice wanted)
{
    ssize_t end = slice_find(type, ';');
    return slice_is_nocase(slice_trim(end < 0 ? type : slice_head(type, (size_t)end)), wanted);
}

int l_request_form(lua_State *L)
{
    struct l_request *r = l_check_request(L, REQUEST);
    lua_settop(L, OPTIONS);
    struct form *f = lua_newuserdatauv(L, sizeof *f, 0);
    memset(f, 0, offsetof(struct form, head));
    read_options(L, f);
    lua_newtable(L);
    f->text = l_text_new(L);
    f->text.n = 0;
    lua_settop(L, NAME);
    slice type = exchange_field(r->ex, FIELD_CONTENT_TYPE);
    const char *why = "";
    f->is_multipart = has_type(type, SLICE("multipart/form-data"));
    if (f->is_multipart) {
        if (!multipart_init(&f->m, type, f->head, sizeof f->head, (unsigned)f->o.max_parts, &why))
            return refuse(L, r, "the form is malformed: %s", why);
    } else if (!has_type(type, SLICE("application/x-www-form-urlencoded"))) {
        return refuse(L, r, "this is no form: its type is \"%.*s\"", (int)MIN(type.n, 100),
                      type.n ? type.p : "");
    }
    if (!f->is_multipart && r->ex->req->content_length > f->o.max)
        return refuse_size(L, r, TOO_LARGE, f->o.max);
    if (r->body.has_begun)
        return luaL_error(L, "the body has been read already, or is being read");
    l_task_check_wait(L, "req:form");
    l_body_begin(L, r, true);
    return go_on(L, LUA_OK, 0);
}
