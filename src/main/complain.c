/* complain: see complain.h. */
#include "main/complain.h"

#include <stdarg.h>

bool complain(const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "medusa: %s\n", text);
    return false;
}
