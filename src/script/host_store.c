/* host_store: from the first use to the last write. */
#include "script/host_store.h"

#include <errno.h>

struct store *host_store(struct host *host)
{
    if (host->is_stopping)
        return NULL;
    if (!host->store) {
        host->store = store_new(host->loop, SHARED_LIMIT);
        if (host->store && host->has_shared_limit)
            store_set_limit(host->store, host->shared_limit);
    }
    return host->store;
}

void host_store_limit(struct host *host, size_t bytes)
{
    host->shared_limit = bytes;
    host->has_shared_limit = true;
    if (host->store)
        store_set_limit(host->store, bytes);
}

int host_store_journal(struct host *host, const struct store_journal_settings *settings,
                       uint64_t *offset_out)
{
    if (host->journal_path)
        return slice_is(slice_str(host->journal_path), slice_str(settings->path)) ? 0 : -EALREADY;
    struct store *s = host_store(host);
    size_t room = strlen(settings->path) + 1;
    char *path = s ? mem_alloc(&host->owner, room) : NULL;
    if (!path)
        return -ENOMEM;
    memcpy(path, settings->path, room);
    int error = store_journal_open(s, settings, offset_out);
    if (error)
        mem_free(&host->owner, path, room);
    else
        host->journal_path = path;
    return error;
}

static void on_closed(void *owner)
{
    ((struct host *)owner)->store_is_closing = false;
}

void host_store_stop(struct host *host)
{
    host->is_stopping = true;
    if (host->journal_path)
        mem_free(&host->owner, host->journal_path, strlen(host->journal_path) + 1);
    host->journal_path = NULL;
    host->store_is_closing = host->store_is_closing || host->store;
    store_close(&host->store, on_closed, host);
}

bool host_store_is_closing(const struct host *host)
{
    return host->store_is_closing;
}

static void journal_status_log(struct host *host)
{
    struct store_journal_stats j;
    if (!store_journal_stats(host->store, &j))
        return;
    log_line(host->log, LOG_NOTICE, "status.journal",
             "journal %s: %llu bytes for %llu of data, %zu waiting, %llu groups written, written "
             "anew %llu times, %llu errors",
             host->journal_path, (unsigned long long)j.file_bytes, (unsigned long long)j.data_bytes,
             j.pending_bytes, (unsigned long long)j.groups, (unsigned long long)j.rewrites,
             (unsigned long long)j.errors);
}

void host_store_status_log(struct host *host)
{
    struct store_stats s;
    if (!host->store)
        return;
    store_stats(host->store, &s);
    log_line(host->log, LOG_NOTICE, "status.shared",
             "shared data: %zu keys, %zu bytes, limit %zu; %llu expired, %llu refused; %zu "
             "subscriptions to %zu channels, %llu "
             "messages published, %llu delivered, %llu dropped",
             s.keys, s.bytes, s.limit_bytes, (unsigned long long)s.expired,
             (unsigned long long)s.refused, s.subscribers, s.channels,
             (unsigned long long)s.published, (unsigned long long)s.delivered,
             (unsigned long long)host->letters_dropped);
    journal_status_log(host);
}
