/* settings: what a configuration says of the process as a whole. */
#ifndef SCRIPT_SETTINGS_H
#define SCRIPT_SETTINGS_H

#include "base/defs.h"

#define SETTINGS_TEXT_MAX 512

struct process_settings {
    uint64_t memory_bytes;        /* 0 = no limit */
    int64_t drain_ms;             /* after SIGTERM: time for what is in flight */
    uint64_t connections;         /* clients of each server; 0 = as many as open files allow */
    char user[SETTINGS_TEXT_MAX]; /* "" = not said; so with the others */
    char access_log[SETTINGS_TEXT_MAX];
    char access_format[16];
    char log[SETTINGS_TEXT_MAX];
    bool is_verbose;
};

#endif
