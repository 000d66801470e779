/* defs: the few words that every file uses. Includes the list of banned calls, so that no file
 * escapes it. */
#ifndef BASE_DEFS_H
#define BASE_DEFS_H

#include "base/banned.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MUST_USE        __attribute__((warn_unused_result))
#define UNUSED          __attribute__((unused))
#define COLD            __attribute__((cold, noinline))
#define HOT             __attribute__((hot))
#define NORETURN        __attribute__((noreturn))
#define PRINTF(fmt, at) __attribute__((format(printf, fmt, at)))
#define LIKELY(x)       __builtin_expect(!!(x), 1)
#define UNLIKELY(x)     __builtin_expect(!!(x), 0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b)       ((a) < (b) ? (a) : (b))
#define MAX(a, b)       ((a) > (b) ? (a) : (b))

/* The struct of [type] whose [member] stands at [ptr]. */
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define KIB                             ((size_t)1024)
#define MIB                             (1024 * KIB)

#define NS_PER_MS                       ((int64_t)1000000)
#define NS_PER_S                        ((int64_t)1000000000)

#endif
