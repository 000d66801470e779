/* main: the command line. */
#include "base/near.h"
#include "main/help_lua.h"
#include "main/options.h"
#include "main/run.h"
#include "main/serve.h"
#include "version.h"

static int do_serve(int count, char **words)
{
    struct options o;
    char error[OPTIONS_ERROR_MAX];
    options_default(&o);
    if (options_parse(&o, count, words, error))
        return serve(&o);
    (void)fprintf(stderr, "medusa serve: %s\n", error);
    return 2;
}

static int do_run(int count, char **words)
{
    if (count == 1)
        return run_script(words[0]);
    (void)fprintf(stderr,
                  count ? "medusa run: one script can be run, not %d\n"
                        : "medusa run: which script? As in: medusa run site.lua\n",
                  count);
    return 2;
}

static int do_help(int count, char **words)
{
    if (count > 0 && slice_is(slice_str(words[0]), SLICE("lua")))
        return help_lua(count - 1, words + 1);
    (void)puts(
        "Medusa serves a directory over HTTP, or what a Lua script describes, in one process and\n"
        "one event loop.\n"
        "\n"
        "  medusa serve [DIR] [OPTIONS]   serve DIR (default: the current directory)\n"
        "  medusa run SCRIPT              serve what a Lua script describes\n"
        "  medusa help                    this page\n"
        "  medusa help lua [NAME]         what scripts can use, or more of one function\n"
        "  medusa version                 version and commit\n"
        "\n"
        "Options of serve (in brackets: what holds without them):\n");
    options_help(stdout);
    (void)puts(
        "\n"
        "Signals: TERM or INT end it when requests in flight are answered (INT twice: at once);\n"
        "USR1 or HUP open the log files again; USR2 writes a status report to the log.\n"
        "With run, HUP loads the script again, too: all of it takes effect, or nothing.\n"
        "\n"
        "The manual: docs/manual.md, or man medusa.");
    return 0;
}

static int do_version(int count, char **words)
{
    (void)printf("medusa %s (%s)\n", MEDUSA_VERSION, MEDUSA_COMMIT);
    return 0;
}

static const struct command {
    slice name;
    int (*run)(int count, char **words);
} commands[] = {
    {SLICE("serve"), do_serve},       {SLICE("run"), do_run},     {SLICE("help"), do_help},
    {SLICE("version"), do_version},   {SLICE("--help"), do_help}, {SLICE("-h"), do_help},
    {SLICE("--version"), do_version},
};

static int unknown(slice word)
{
    slice names[COUNT_OF(commands)];
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        names[i] = commands[i].name;
    int at = near_word(word, names, 4);
    (void)fprintf(stderr, "medusa: there is no command \"%.*s\"", SLICE_ARGS(word));
    if (at >= 0)
        (void)fprintf(stderr, ": did you mean %.*s?\n", SLICE_ARGS(names[at]));
    else
        (void)fprintf(
            stderr,
            "; medusa help lists those there are (to serve a directory: medusa serve DIR)\n");
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return do_help(0, NULL);
    slice word = slice_str(argv[1]);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (slice_is(commands[i].name, word)) {
            for (int w = 2; w < argc; w++)
                if (slice_is(slice_str(argv[w]), SLICE("--help")) ||
                    slice_is(slice_str(argv[w]), SLICE("-h")))
                    return do_help(0, NULL);
            return commands[i].run(argc - 2, argv + 2);
        }
    return unknown(word);
}
