/* check: the last words of a process that found a bug of its own. */
#include "base/check.h"

#include <execinfo.h>
#include <unistd.h>

void check_bug(const char *what, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "medusa: BUG at %s:%d: %s\n"
                     "medusa: this is an error in the program itself, not in what a client sent; "
                     "please report it with the lines below\n",
                     file, line, what);
    if (n > 0 && write(STDERR_FILENO, text, MIN((size_t)n, sizeof text - 1)) < 0)
        abort();
    void *frames[32];
    backtrace_symbols_fd(frames, backtrace(frames, COUNT_OF(frames)), STDERR_FILENO);
    abort();
}
