/* host: the beginning and the end of all scripts. */
#include "script/host.h"

#include "base/check.h"
#include "script/dbs.h"
#include "script/declare.h"
#include "script/host_net.h"
#include "script/host_store.h"
#include "script/l_link.h"
#include "script/l_task.h"
#include "script/subs.h"
#include "script/tree.h"
#include "script/unit.h"

#include <errno.h>

int host_init(struct host *host)
{
    host->loop = host->io->loop;
    list_init(&host->units);
    list_init(&host->leaving);
    list_init(&host->trees);
    list_init(&host->subs);
    list_init(&host->dbs);
    list_init(&host->db_waits);
    mem_owner_init(&host->owner, host->book, "scripts");
    host->lane = work_lane_new(host->loop, "scripts", 4);
    if (!host->lane) {
        mem_owner_fini(&host->owner);
        return -ENOMEM;
    }
    pool_init(&host->links, &host->owner, sizeof(struct l_link));
    host_net_init(host);
    int error = l_task_host_init(host);
    if (error < 0) {
        work_lane_free(&host->lane);
        mem_owner_fini(&host->owner);
    }
    return error;
}

void host_stop(struct host *host)
{
    LIST_EACH_SAFE (n, &host->units)
        unit_remove(CONTAINER_OF(n, struct unit, link));
    declare_abort_all(host);
    host_net_stop(host);
    subs_stop(host);
    host_store_stop(host);
    dbs_check_end(host);
}

bool host_is_empty(const struct host *host)
{
    return list_is_empty(&host->units) && list_is_empty(&host->leaving) &&
           list_is_empty(&host->trees) && host->version_count == 0 && host_net_is_empty(host) &&
           !host_store_is_closing(host) && !host->databases && !host->databases_are_closing &&
           !work_lane_pending(host->lane) &&
           (!host->blocking || !work_lane_pending(host->blocking));
}

void host_fini(struct host *host)
{
    BUG_ON(!host_is_empty(host));
    host_net_fini(host);
    work_lane_free(&host->lane);
    work_lane_free(&host->blocking);
    l_task_host_fini(host);
    pool_fini(&host->links);
    mem_owner_fini(&host->owner);
}

void host_status_log(struct host *host)
{
    LIST_EACH (n, &host->units) {
        const struct unit *unit = CONTAINER_OF(n, struct unit, link);
        log_line(host->log, LOG_NOTICE, "status.unit",
                 "script %s (%s): %zu bytes of heap, at most %zu, limit %zu; loaded %llu times, "
                 "%llu errors, %u versions alive",
                 unit->name, unit->path, unit->heap.bytes, unit->heap.peak,
                 unit->current ? unit->current->heap_limit : unit->limits.heap_bytes,
                 (unsigned long long)unit->loads, (unsigned long long)unit->errors, unit->versions);
    }
    host_store_status_log(host);
    tree_status_log(host);
}
