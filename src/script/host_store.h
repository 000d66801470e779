/* host_store: the host's part of shared data: the store of all units, which outlives their code,
 * with its journal; and the messages that are on their way in it.
 *
 * Made when it is first used. The host owns it: host_stop closes it (all is written), host_is_empty
 * waits for that. */
#ifndef SCRIPT_HOST_STORE_H
#define SCRIPT_HOST_STORE_H

#include "script/host.h"
#include "service/store_journal.h"

#define SHARED_LIMIT (256 * MIB) /* when no script says otherwise */

/* NULL without memory, and when the host has been stopped. */
MUST_USE struct store *host_store(struct host *host);

/* What is there stays, even when it is more. 0: no limit of its own. */
void host_store_limit(struct host *host, size_t bytes);

/* As store_journal_open: it blocks. 0 too when this very file is open already: its settings stay as
 * they were; -EALREADY: another is. */
MUST_USE int host_store_journal(struct host *host, const struct store_journal_settings *settings,
                                uint64_t *offset_out);

/* Nobody is subscribed any more. */
void host_store_stop(struct host *host);

/* Is being written and closed. */
bool host_store_is_closing(const struct host *host);

void host_store_status_log(struct host *host);

#endif
