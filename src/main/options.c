/* options: the table, and the one loop that reads it. */
#include "main/options.h"

#include "base/near.h"
#include "base/num.h"

enum kind { FLAG, TEXT, COUNT, SIZE, TIME, LISTEN, HOST };

struct row {
    slice name;
    const char *value; /* what stands for the value in the help */
    const char *text;  /* the initial value, as a person writes it; "" = none */
    const char *help;
    enum kind kind;
    size_t at; /* in struct options */
    uint64_t min, max;
};

#define AT(member) offsetof(struct options, member)

static const struct row rows[] = {
    {SLICE("--listen"), "ADDR", ":8080",
     "where to listen: :8080, 127.0.0.1:80, [::1]:80, unix:/path; repeatable; ADDR,proxy expects "
     "the PROXY protocol",
     LISTEN, 0, 0, 0},
    {SLICE("--no-listing"), NULL, "", "do not list directories that have no index.html", FLAG,
     AT(no_listing), 0, 0},
    {SLICE("--hidden"), NULL, "", "serve and list names that begin with a dot, too", FLAG,
     AT(hidden), 0, 0},
    {SLICE("--host"), "NAME", "", "answer for this host name only (others: 421); repeatable", HOST,
     0, 0, 0},
    {SLICE("--error-pages"), "DIR", "",
     "take 404.html and the like of this directory as error pages", TEXT, AT(error_pages), 0, 0},
    {SLICE("--access-log"), "FILE", "",
     "write a line per request; - is standard output; reopened on SIGUSR1", TEXT, AT(access_log), 0,
     0},
    {SLICE("--log-format"), "NAME", "combined", "of the access log: combined or json", TEXT,
     AT(log_format), 0, 0},
    {SLICE("--log"), "FILE", "", "write errors and notices to this file instead of standard error",
     TEXT, AT(log), 0, 0},
    {SLICE("--user"), "NAME", "", "become this user once the ports are open (when started as root)",
     TEXT, AT(user), 0, 0},
    {SLICE("--max-connections"), "N", "0",
     "further clients wait until others have gone; 0 = as many as open files allow", COUNT,
     AT(max_connections), 0, 1000000},
    {SLICE("--max-header"), "SIZE", "32K", "longest request head (431)", SIZE, AT(max_header), 512,
     1 << 20},
    {SLICE("--max-fields"), "N", "100", "most fields in a head (431)", COUNT, AT(max_fields), 1,
     HTTP1_FIELDS_MAX},
    {SLICE("--max-target"), "SIZE", "8K", "longest request target (414)", SIZE, AT(max_target), 64,
     1 << 20},
    {SLICE("--max-body"), "SIZE", "1M", "longest request body (413)", SIZE, AT(max_body), 0,
     (uint64_t)1 << 50},
    {SLICE("--max-requests"), "N", "0", "requests per connection; 0 = no limit", COUNT,
     AT(max_requests), 0, UINT32_MAX},
    {SLICE("--keepalive"), "TIME", "75s", "how long a connection may wait for its next request",
     TIME, AT(keepalive_ms), 1, 86400000},
    {SLICE("--header-timeout"), "TIME", "20s", "how long a request head may take (408)", TIME,
     AT(header_ms), 1, 86400000},
    {SLICE("--min-rate"), "BYTES", "100",
     "per second, each way, averaged over --rate-window; slower clients are cut off; 0 = never",
     SIZE, AT(min_rate), 0, 1 << 30},
    {SLICE("--rate-window"), "TIME", "30s", "how long a client may pause that is fast else", TIME,
     AT(rate_window_ms), 1000, 3600000},
    {SLICE("--linger"), "TIME", "2s",
     "after an answer that ends the connection, how long the client may go on sending", TIME,
     AT(linger_ms), 0, 60000},
    {SLICE("--drain-timeout"), "TIME", "30s", "after SIGTERM, how long requests in flight may take",
     TIME, AT(drain_ms), 0, 86400000},
    {SLICE("--cache"), "SIZE", "32M", "file contents kept in memory", SIZE, AT(cache), 0,
     (uint64_t)1 << 40},
    {SLICE("--memory"), "SIZE", "0",
     "most memory for clients, cache and logs together: at least 8M; 0 = no limit", SIZE,
     AT(memory), 0, (uint64_t)1 << 40},
    {SLICE("--verbose"), NULL, "", "say more in the log", FLAG, AT(verbose), 0, 0},
};

#define SAY(...) (void)snprintf(error, OPTIONS_ERROR_MAX, __VA_ARGS__)

static bool set_number(const struct row *row, struct options *o, slice value, char *error)
{
    uint64_t number = 0;
    int64_t ms = 0;
    bool ok = row->kind == COUNT  ? num_u64(value, &number)
              : row->kind == SIZE ? num_size(value, &number)
                                  : num_duration(value, &ms);
    if (row->kind == TIME)
        number = (uint64_t)ms;
    if (!ok || number < row->min || number > row->max) {
        static const char *const forms[] = {[COUNT] = "a number",
                                            [SIZE] = "a size such as 512, 16K or 64M",
                                            [TIME] = "a time such as 500ms, 30s or 2m"};
        SAY("%.*s takes %s, from %llu to %llu%s, not \"%.*s\"", SLICE_ARGS(row->name),
            forms[row->kind], (unsigned long long)row->min, (unsigned long long)row->max,
            row->kind == TIME ? " ms" : "", SLICE_ARGS(value));
        return false;
    }
    *(uint64_t *)((char *)o + row->at) = number; /* int64_t for TIME: same size, never negative */
    return true;
}

static bool add(slice *list, unsigned *count, unsigned max, slice value, char *error)
{
    if (*count == max) {
        SAY("that is too often: at most %u", max);
        return false;
    }
    list[(*count)++] = value;
    return true;
}

static bool set(const struct row *row, struct options *o, const char *value, char *error)
{
    void *at = (char *)o + row->at;
    switch (row->kind) {
    case FLAG:
        *(bool *)at = true;
        return true;
    case TEXT:
        *(const char **)at = value;
        return true;
    case COUNT:
    case SIZE:
    case TIME:
        return set_number(row, o, slice_str(value), error);
    case LISTEN:
        return add(o->listen, &o->listen_count, OPTIONS_LISTEN_MAX, slice_str(value), error);
    case HOST:
        return add(o->hosts, &o->host_count, HTTP_HOSTS_MAX, slice_str(value), error);
    }
    return false;
}

void options_default(struct options *o)
{
    char error[OPTIONS_ERROR_MAX];
    *o = (struct options){.root = "."};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].kind != LISTEN && rows[i].text[0])
            BUG_ON(!set(&rows[i], o, rows[i].text, error));
}

static const struct row *find(slice name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (slice_is(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static bool say_unknown(slice name, char *error)
{
    slice names[COUNT_OF(rows)];
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        names[i] = rows[i].name;
    int at = near_word(name, names, COUNT_OF(rows));
    if (at >= 0)
        SAY("there is no option %.*s: did you mean %.*s?", SLICE_ARGS(name), SLICE_ARGS(names[at]));
    else
        SAY("there is no option %.*s: see medusa help", SLICE_ARGS(name));
    return false;
}

/* One option, as "--name value" or "--name=value"; *i is moved past it. */
static bool parse_option(struct options *o, int count, char **words, int *i, char *error)
{
    slice word = slice_str(words[*i]);
    ssize_t equals = slice_find(word, '=');
    slice name = equals < 0 ? word : slice_head(word, (size_t)equals);
    const struct row *row = find(name);
    if (!row)
        return say_unknown(name, error);
    const char *value = equals < 0 ? NULL : words[*i] + equals + 1;
    if (row->kind == FLAG && value) {
        SAY("%.*s takes no value", SLICE_ARGS(name));
        return false;
    }
    if (row->kind != FLAG && !value) {
        if (*i + 1 >= count) {
            SAY("%.*s needs a value: %.*s %s", SLICE_ARGS(name), SLICE_ARGS(name), row->value);
            return false;
        }
        value = words[++*i];
    }
    return set(row, o, value, error);
}

bool options_parse(struct options *o, int count, char **words, char *error)
{
    bool has_root = false;
    for (int i = 0; i < count; i++) {
        if (words[i][0] == '-' && words[i][1]) {
            if (!parse_option(o, count, words, &i, error))
                return false;
        } else if (has_root) {
            SAY("one directory can be served, not both \"%s\" and \"%s\"", o->root, words[i]);
            return false;
        } else {
            o->root = words[i];
            has_root = true;
        }
    }
    return true;
}

void options_help(FILE *to)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        char left[40];
        (void)snprintf(left, sizeof left, "%.*s %s", SLICE_ARGS(row->name),
                       row->value ? row->value : "");
        (void)fprintf(to, "  %-24s %s", left, row->help);
        if (row->text[0])
            (void)fprintf(to, " (%s)", row->text);
        (void)fputc('\n', to);
    }
}
