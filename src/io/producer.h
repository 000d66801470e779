/* producer: something that yields output when it is asked. The original Medusa's idea, and the
 * reason why a slow client costs nothing: nobody produces what the peer is not taking.
 *
 * A producer is pushed at the end of an output queue, which owns it from then on. more() is called
 * while the queue is below its low mark, never from inside outq_push_producer; it pushes some
 * output (outq_push_*) and says what comes next. */
#ifndef IO_PRODUCER_H
#define IO_PRODUCER_H

#include "base/defs.h"

struct outq;
struct producer;

enum producer_result {
    PRODUCER_MORE,   /* pushed something (or may at once); ask again when there is room */
    PRODUCER_WAIT,   /* not yet: producer_wake will be called, in a later turn */
    PRODUCER_DONE,   /* that was all; free() follows */
    PRODUCER_FAILED, /* it cannot keep its promise (file cut short, no memory): the stream is
                        aborted; free() follows */
};

struct producer_ops {
    const char *name; /* for status */
    enum producer_result (*more)(struct producer *p, struct outq *q);
    /* Exactly once; also when the stream dies before the end, and then perhaps while something that
     * the producer waits for is still on its way: that must not call producer_wake any more. */
    void (*free)(struct producer *p);
};

/* Embedded in its owner. */
struct producer {
    const struct producer_ops *ops;
    struct outq *outq; /* private: whom to wake */
    bool is_waiting;   /* private */
};

/* After WAIT: there is something now. Marks the stream to be served in this turn; more() is not
 * called from inside. */
void producer_wake(struct producer *p);

#endif
