/* mime: media types by extension, one hash look-up each.
 *
 * The file service asks when it opens a file and keeps the answer with it. Each line of the text
 * becomes one block that holds its Content-Type and its extensions; the blocks live until the table
 * dies, so an entry may be redirected to another line's type but never dangles. Invariant: one
 * entry for each extension. */
#include "wire/mime.h"

#include "base/fmt.h"
#include "base/hash.h"
#include "wire/http_field.h"

#define EXTENSION_MAX 32  /* bytes; also bounds the look-up */
#define TYPE_MAX      200 /* RFC 6838 4.2: 127 for each half would be legal; none comes near */
#define BUCKETS       256
#define CHARSET       SLICE("; charset=utf-8")

struct entry {
    struct hash_node node;
    slice extension; /* in lower case */
    slice value;     /* Content-Type */
};

struct line {
    struct line *next;
    size_t bytes; /* of this block */
    struct entry entries[];
    /* behind the entries: the text that they point to */
};

struct mime_table {
    struct mem_owner *owner;
    struct hash_table extensions;
    struct line *lines;
};

/* Only whoever runs the server can add entries, so nobody outside can make them collide: the key
 * may be fixed. */
static const struct hash_key fixed_key;

/* What browsers and the registry of IANA agree on, in the format of mime.types. */
static const char built_in[] =
    "text/html html htm\n"
    "text/css css\n"
    "text/javascript js mjs\n" /* RFC 9239 */
    "text/plain txt text log conf ini c h\n"
    "text/markdown md markdown\n"
    "text/csv csv\n"
    "text/calendar ics\n"
    "text/vcard vcf\n"
    "text/vtt vtt\n"
    "application/xml xml xsl\n"
    "application/json json map\n"
    "application/ld+json jsonld\n"
    "application/manifest+json webmanifest\n"
    "application/geo+json geojson\n"
    "application/xhtml+xml xhtml xht\n"
    "application/rss+xml rss\n"
    "application/atom+xml atom\n"
    "application/wasm wasm\n"
    "application/pdf pdf\n"
    "application/epub+zip epub\n"
    "application/rtf rtf\n"
    "application/zip zip\n"
    "application/gzip gz tgz\n"
    "application/zstd zst\n"
    "application/x-brotli br\n"
    "application/x-bzip2 bz2\n"
    "application/x-xz xz\n"
    "application/x-7z-compressed 7z\n"
    "application/x-tar tar\n"
    "application/vnd.debian.binary-package deb\n"
    "application/vnd.ms-fontobject eot\n"
    "application/vnd.apple.mpegurl m3u8\n"
    "application/dash+xml mpd\n"
    "application/vnd.oasis.opendocument.text odt\n"
    "application/vnd.oasis.opendocument.spreadsheet ods\n"
    "application/vnd.oasis.opendocument.presentation odp\n"
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document docx\n"
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx\n"
    "application/vnd.openxmlformats-officedocument.presentationml.presentation pptx\n"
    "application/octet-stream bin iso img exe dmg\n"
    "font/woff woff\n"
    "font/woff2 woff2\n"
    "font/ttf ttf\n"
    "font/otf otf\n"
    "image/png png\n"
    "image/apng apng\n"
    "image/jpeg jpg jpeg\n"
    "image/gif gif\n"
    "image/webp webp\n"
    "image/avif avif\n"
    "image/jxl jxl\n"
    "image/heic heic\n"
    "image/bmp bmp\n"
    "image/tiff tif tiff\n"
    "image/svg+xml svg\n"
    "image/vnd.microsoft.icon ico\n"
    "audio/mpeg mp3\n"
    "audio/mp4 m4a\n"
    "audio/aac aac\n"
    "audio/ogg ogg oga opus\n"
    "audio/flac flac\n"
    "audio/wav wav\n"
    "audio/webm weba\n"
    "video/mp4 mp4 m4v\n"
    "video/webm webm\n"
    "video/ogg ogv\n"
    "video/quicktime mov\n"
    "video/mp2t ts\n"
    "video/x-matroska mkv\n"
    "video/x-msvideo avi\n";

/* What the system's table says of these is older, or is not what a browser makes of them. */
static const char over_system[] = "video/mp2t ts\n" /* there: translations of Qt */
                                  "application/rss+xml rss\n"
                                  "audio/wav wav\n";

/* Writes at most [room] bytes of [s] in lower case. */
static slice lower(slice s, char *room, size_t room_n)
{
    size_t n = MIN(s.n, room_n);
    for (size_t i = 0; i < n; i++)
        room[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    return slice_of(room, n);
}

/* [extension] is in lower case. */
static struct entry *find(const struct mime_table *t, slice extension)
{
    struct hash_node *n = hash_table_first(&t->extensions, hash_bytes(&fixed_key, extension));
    for (; n; n = hash_table_next(n)) {
        struct entry *e = CONTAINER_OF(n, struct entry, node);
        if (slice_is(e->extension, extension))
            return e;
    }
    return NULL;
}

static bool needs_charset(slice type)
{
    static const slice scripts[] = {
        SLICE("application/javascript"),
        SLICE("application/x-javascript"),
        SLICE("application/ecmascript"),
    };
    if (slice_is_nocase(slice_head(type, 5), SLICE("text/")))
        return true;
    for (size_t i = 0; i < COUNT_OF(scripts); i++)
        if (slice_is_nocase(type, scripts[i]))
            return true;
    return false;
}

/* media-type without parameters (RFC 9110 8.3.1): what goes into a header field must be clean. */
static bool is_type(slice s)
{
    slice subtype = s, type;
    return s.n <= TYPE_MAX && slice_cut(&subtype, '/', &type) && http_is_token(type) &&
           http_is_token(subtype);
}

/* With a dot inside ("tar.gz") it could never be found: only what follows the last dot is looked
 * up. */
static bool is_extension(slice s)
{
    return s.n <= EXTENSION_MAX && http_is_token(s) && slice_find(s, '.') < 0;
}

/* The next word of *s; false at the end of the line. */
static bool next_word(slice *s, slice *word_out)
{
    *s = slice_trim(*s);
    size_t n = 0;
    while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
        n++;
    *word_out = slice_head(*s, n);
    *s = slice_skip(*s, n);
    return n > 0;
}

static void set(struct mime_table *t, struct entry *fresh)
{
    struct entry *old = find(t, fresh->extension);
    if (old)
        old->value = fresh->value; /* the later line wins; the fresh entry stays unused */
    else
        hash_table_add(&t->extensions, &fresh->node, hash_bytes(&fixed_key, fresh->extension));
}

/* Makes the block of one line and enters its extensions. False when there is no memory. */
static bool add_line(struct mime_table *t, slice type, slice words, size_t count, size_t text_bytes)
{
    slice charset = needs_charset(type) ? CHARSET : SLICE("");
    text_bytes += type.n + charset.n;
    size_t head = sizeof(struct line) + count * sizeof(struct entry);
    struct line *line = mem_alloc(t->owner, head + text_bytes);
    if (!line)
        return false;
    *line = (struct line){.next = t->lines, .bytes = head + text_bytes};
    t->lines = line;
    struct fmt text = fmt_on((char *)line + head, text_bytes);
    fmt_put(&text, type);
    fmt_put(&text, charset);
    slice value = fmt_done(&text);
    struct entry *e = line->entries;
    for (slice word; next_word(&words, &word);) {
        if (!is_extension(word))
            continue;
        *e = (struct entry){.extension = lower(word, text.p, fmt_room(&text)), .value = value};
        text.p += word.n;
        set(t, e++);
    }
    return true;
}

/* type *( blank extension ) [ "#" comment ] */
static bool load_line(struct mime_table *t, slice line)
{
    ssize_t comment = slice_find(line, '#');
    if (comment >= 0)
        line = slice_head(line, (size_t)comment);
    slice type;
    if (!next_word(&line, &type) || !is_type(type))
        return true;
    size_t count = 0, text_bytes = 0;
    slice words = line;
    for (slice word; next_word(&words, &word);)
        if (is_extension(word)) {
            count++;
            text_bytes += word.n;
        }
    return count == 0 || add_line(t, type, line, count, text_bytes);
}

bool mime_load(struct mime_table *t, slice text)
{
    for (slice line; slice_cut(&text, '\n', &line);) {
        if (slice_has_suffix(line, SLICE("\r")))
            line.n--;
        if (!load_line(t, line))
            return false;
    }
    return true;
}

bool mime_load_system(struct mime_table *t, slice text)
{
    return mime_load(t, text) && mime_load(t, slice_str(over_system));
}

struct mime_table *mime_new(struct mem_owner *owner)
{
    struct mime_table *t = mem_alloc0(owner, sizeof *t);
    if (!t)
        return NULL;
    t->owner = owner;
    if (!hash_table_init(&t->extensions, owner, BUCKETS)) {
        mem_free(owner, t, sizeof *t);
        return NULL;
    }
    if (!mime_load(t, slice_str(built_in)))
        mime_free(&t);
    return t;
}

void mime_free(struct mime_table **t)
{
    struct mime_table *table = *t;
    *t = NULL;
    if (!table)
        return;
    for (struct line *line = table->lines, *next; line; line = next) {
        next = line->next;
        mem_free(table->owner, line, line->bytes);
    }
    hash_table_fini(&table->extensions);
    mem_free(table->owner, table, sizeof *table);
}

/* Names that are text by custom. */
static bool is_text_name(slice name)
{
    static const slice names[] = {
        SLICE("AUTHORS"), SLICE("ChangeLog"),  SLICE("CHANGES"), SLICE("CONTRIBUTING"),
        SLICE("COPYING"), SLICE("COPYRIGHT"),  SLICE("CREDITS"), SLICE("Dockerfile"),
        SLICE("FAQ"),     SLICE("HISTORY"),    SLICE("INSTALL"), SLICE("LICENCE"),
        SLICE("LICENSE"), SLICE("Makefile"),   SLICE("NEWS"),    SLICE("NOTICE"),
        SLICE("README"),  SLICE("SHA256SUMS"), SLICE("TODO"),    SLICE("VERSION"),
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

slice mime_of(const struct mime_table *t, slice file_name)
{
    char room[EXTENSION_MAX];
    slice name = slice_skip(file_name, (size_t)(slice_find_last(file_name, '/') + 1));
    ssize_t dot = slice_find_last(name, '.');
    if (dot <= 0)
        return is_text_name(name) ? SLICE("text/plain; charset=utf-8")
                                  : SLICE("application/octet-stream");
    slice extension = slice_skip(name, (size_t)dot + 1);
    const struct entry *e = NULL;
    if (extension.n <= sizeof room)
        e = find(t, lower(extension, room, sizeof room));
    return e ? e->value : SLICE("application/octet-stream");
}
