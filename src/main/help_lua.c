/* help_lua: from the rows of the bindings to text. */
#include "main/help_lua.h"

#include "base/near.h"
#include "script/l_api.h"

#define WIDTH     100
#define NAMES_MAX 2000

/* ---- Walking ---- */

/* All functions, one after the other: begin with {0}. NULL after the last. */
struct walk {
    const struct l_function *rows;
    size_t array, at, count;
};

static const struct l_function *next(struct walk *w)
{
    while (!w->rows || w->at == w->count) {
        w->rows = l_described(w->array++, &w->count);
        w->at = 0;
        if (!w->rows)
            return NULL;
    }
    return &w->rows[w->at++];
}

/* "medusa.http" of "medusa.http.server", "req" of "req:body". */
static slice module_of(const struct l_function *f)
{
    slice name = slice_str(f->name);
    ssize_t dot = slice_find_last(name, '.'), colon = slice_find_last(name, ':');
    return slice_head(name, (size_t)MAX(MAX(dot, colon), 0));
}

static slice last_part(const struct l_function *f)
{
    slice module = module_of(f);
    return slice_skip(slice_str(f->name), module.n ? module.n + 1 : 0);
}

static bool is_in(const struct l_function *f, slice name)
{
    slice module = module_of(f);
    return slice_is(module, name) ||
           (module.n > name.n && slice_is(slice_head(module, name.n), name) &&
            module.p[name.n] == '.');
}

/* ---- Text ---- */

/* Breaks at spaces; the first line begins behind [used] columns, the others at [indent]. */
static void print_wrapped(slice text, int used, int indent)
{
    int column = used;
    while (text.n) {
        ssize_t space = slice_find(text, ' ');
        slice word = space < 0 ? text : slice_head(text, (size_t)space);
        if (column > indent && column + 1 + (int)word.n > WIDTH) {
            (void)printf("\n%*s", indent, "");
            column = indent;
        }
        if (column > indent) {
            (void)putchar(' ');
            column++;
        }
        (void)printf("%.*s", SLICE_ARGS(word));
        column += (int)word.n;
        text = slice_skip(text, word.n + (space >= 0));
    }
    (void)putchar('\n');
}

static slice first_sentence(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p == '.' && p[1] == ' ')
            return slice_of(text, (size_t)(p - text));
    slice all = slice_str(text);
    return slice_has_suffix(all, SLICE(".")) && !slice_has_suffix(all, SLICE(".."))
               ? slice_head(all, all.n - 1)
               : all;
}

static void print_row(const struct l_function *f)
{
    int used = printf("  %s%s", f->name, f->signature);
    if (used > 48) {
        (void)putchar('\n');
        used = 0;
    }
    (void)printf("%*s", 50 - used, "");
    char text[1024];
    (void)snprintf(text, sizeof text, "%.*s%s", SLICE_ARGS(first_sentence(f->text)),
                   f->waits ? " [waits]" : "");
    print_wrapped(slice_str(text), 50, 50);
}

/* What a row is printed with. */
typedef void (*print_fn)(const struct l_function *f);

static void print_module(slice module, const char *mark, print_fn print)
{
    struct walk w = {0};
    (void)printf("\n%s%.*s\n", mark, SLICE_ARGS(module.n ? module : SLICE("Globals")));
    for (const struct l_function *f; (f = next(&w));)
        if (slice_is(module_of(f), module))
            print(f);
}

static bool is_first_of_module(const struct l_function *row)
{
    struct walk w = {0};
    const struct l_function *f = next(&w);
    while (f != row && !slice_is(module_of(f), module_of(row)))
        f = next(&w);
    return f == row;
}

/* Module by module, whatever the order of the arrays; of a module and what is below it, or of all
 * (.p NULL). The number of modules. */
static size_t print_modules(slice name, const char *mark, print_fn print)
{
    struct walk w = {0};
    size_t count = 0;
    for (const struct l_function *f; (f = next(&w));) {
        if ((name.p && !is_in(f, name)) || !is_first_of_module(f))
            continue;
        print_module(module_of(f), mark, print);
        count++;
    }
    return count;
}

static size_t print_table(slice name)
{
    return print_modules(name, "", print_row);
}

static const char *kind_of(const struct l_option *o)
{
    static const char *const names[] = {[OPTION_SIZE] = "size",
                                        [OPTION_TIME] = "time",
                                        [OPTION_COUNT] = "count",
                                        [OPTION_BOOL] = "boolean",
                                        [OPTION_OTHER] = ""};
    return names[o->kind];
}

static void print_options(const struct l_function *f)
{
    size_t count;
    const struct l_option *o = l_described_options(slice_str(f->name), &count);
    if (!o)
        return;
    (void)puts("\n  Options:");
    for (size_t i = 0; i < count; i++) {
        int used = printf("    %-16s %-8s ", o[i].name, kind_of(&o[i]));
        print_wrapped(slice_str(o[i].text), used, 30);
    }
}

static void print_function(const struct l_function *f)
{
    (void)printf("%s%s\n\n  ", f->name, f->signature);
    print_wrapped(slice_str(f->text), 2, 2);
    if (f->waits)
        (void)puts("\n  It waits: other tasks go on meanwhile.");
    print_options(f);
}

/* The functions of that name, or whose last part it is. Their number. */
static size_t print_named(slice name)
{
    size_t count = 0;
    struct walk w = {0};
    for (const struct l_function *f; (f = next(&w));) {
        if (!slice_is(slice_str(f->name), name) && !slice_is(last_part(f), name))
            continue;
        if (count++)
            (void)putchar('\n');
        print_function(f);
    }
    return count;
}

static int say_unknown(slice name)
{
    slice names[NAMES_MAX];
    size_t count = 0;
    struct walk w = {0};
    for (const struct l_function *f; (f = next(&w)) && count + 3 < NAMES_MAX;) {
        names[count++] = slice_str(f->name);
        names[count++] = module_of(f);
        names[count++] = last_part(f);
    }
    int at = near_word(name, names, count);
    if (at >= 0)
        (void)fprintf(stderr, "medusa help lua: there is no %.*s: did you mean %.*s?\n",
                      SLICE_ARGS(name), SLICE_ARGS(names[at]));
    else
        (void)fprintf(stderr, "medusa help lua: there is no %.*s; medusa help lua lists all\n",
                      SLICE_ARGS(name));
    return 2;
}

/* ---- Markdown ---- */

/* A cell of a table: "|" would end it. */
static void print_cell(const char *text)
{
    for (; *text; text++)
        (void)printf(*text == '|' ? "\\%c" : "%c", *text);
}

static void write_range(const struct l_option *o)
{
    if (!o->max)
        return;
    (void)printf("%llu to %llu%s", (unsigned long long)o->min, (unsigned long long)o->max,
                 o->kind == OPTION_TIME ? " ms" : "");
}

static void write_options(const struct l_function *f)
{
    size_t count;
    const struct l_option *o = l_described_options(slice_str(f->name), &count);
    if (!o)
        return;
    (void)puts("\n| option | takes | range | what it is |\n|---|---|---|---|");
    for (size_t i = 0; i < count; i++) {
        (void)printf("| `%s` | %s | ", o[i].name, kind_of(&o[i]));
        write_range(&o[i]);
        (void)printf(" | ");
        print_cell(o[i].text);
        (void)puts(" |");
    }
}

static void write_function(const struct l_function *f)
{
    (void)printf("\n### %s\n\n`%s%s`%s\n\n%s\n", f->name, f->name, f->signature,
                 f->waits ? " *waits*" : "", f->text);
    write_options(f);
}

static int write_markdown(void)
{
    (void)puts("# The Lua API\n\n"
               "Printed by `medusa help lua --markdown` from what the program itself knows; do not "
               "edit.\n\n"
               "A time is seconds (`0.5`) or text (`\"500ms\"`, `\"2m\"`, `\"1h\"`); a size is "
               "bytes or text "
               "(`\"64K\"`, `\"2M\"`).\nWhat *waits* suspends the task that calls it; others go on "
               "meanwhile. In brackets: what holds without the option.");
    (void)print_modules(slice_of(NULL, 0), "## ", write_function);
    return 0;
}

int help_lua(int count, char **words)
{
    if (count == 0) {
        (void)puts(
            "What scripts can use (medusa help lua NAME says more; times are seconds or text like "
            "\"500ms\"):");
        (void)print_table(slice_of(NULL, 0));
        return 0;
    }
    slice name = slice_str(words[0]);
    if (slice_is(name, SLICE("--markdown")))
        return write_markdown();
    if (slice_has_suffix(name, SLICE("()")))
        name.n -= 2;
    return print_table(name) || print_named(name) ? 0 : say_unknown(name);
}
