/* banned: calls that this project does not make do not compile.
 *
 * Each one either writes without knowing where its room ends, hides an error, keeps hidden state,
 * or asks the shell. What to use instead stands behind each name. The system headers come first, so
 * that their own declarations are not touched. tools/banned checks the same list without a
 * compiler. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(name, instead) _Pragma("GCC error \"" #name " is banned: use " instead "\"")

#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strtok
#undef strncpy
#undef strncat
#undef alloca
#define strcpy(...)    BANNED(strcpy, "slice and fmt_put")
#define strcat(...)    BANNED(strcat, "fmt_put")
#define strncpy(...)   BANNED(strncpy, "slice and fmt_put")
#define strncat(...)   BANNED(strncat, "fmt_put")
#define sprintf(...)   BANNED(sprintf, "fmt_printf")
#define vsprintf(...)  BANNED(vsprintf, "fmt_printf")
#define strtok(...)    BANNED(strtok, "slice_cut")
#define gets(...)      BANNED(gets, "a reader")
#define atoi(...)      BANNED(atoi, "num_u64")
#define atol(...)      BANNED(atol, "num_u64")
#define scanf(...)     BANNED(scanf, "num_u64 and slice_cut")
#define sscanf(...)    BANNED(sscanf, "num_u64 and slice_cut")
#define gmtime(...)    BANNED(gmtime, "gmtime_r or http_date_put")
#define localtime(...) BANNED(localtime, "localtime_r")
#define ctime(...)     BANNED(ctime, "http_date_put")
#define asctime(...)   BANNED(asctime, "http_date_put")
#define signal(...)    BANNED(signal, "loop_signals")
#define system(...)    BANNED(system, "nothing: Medusa starts no programs")
#define rand(...)      BANNED(rand, "rand_fill or struct prng")
#define alloca(...)    BANNED(alloca, "an arena")

#endif
