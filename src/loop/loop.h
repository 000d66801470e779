/* loop: the event loop. Bytes have arrived, bytes have been taken, a connection was accepted, time
 * has come, a job is done, a signal came: each is told by calling what its owner declared, one
 * after another, in one thread.
 *
 * The face is completion-shaped ("these bytes have arrived", "so many were taken"), never "the
 * descriptor is ready": the same protocol code runs on epoll (loop_epoll.c), in the simulator
 * (loop_sim.c), and will on io_uring.
 *
 * One turn:  wait and tell | completed work | due timeouts | deferred calls | graves.
 * The clock is read once per turn. Nothing that was closed is freed in the middle of a turn:
 * loop_bury.
 *
 * Owner of everything here: struct loop, one per thread that runs one; nothing is global. All
 * functions are for the loop's thread only, without exception: what comes back from worker threads
 * goes through work_finished (loop_backend.h). */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "loop/timeout.h"
#include "loop/work.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct loop;
struct loop_fd;

/* ---- News of a descriptor. Called from loop_run only, never from inside a call of this header.
 * ---- */
struct loop_fd_ops {
    /* Bytes have arrived: [in] is valid (and writable by nobody else) until the call returns. in.n
     * == 0: [end] is 0 for end of input, or a negative errno; nothing more will come after that.
     * After loop_recv_stop or loop_close it is not called. */
    void (*on_recv)(struct loop_fd *fd, slice in, int end);

    /* An operation that had returned LOOP_PENDING ended: [n] bytes were taken (0: none, but there
     * is room now: call again), or a negative errno: no more can be sent. */
    void (*on_sent)(struct loop_fd *fd, ssize_t n);

    /* A connection was accepted: [sock] is non-blocking, close-on-exec and now the callee's. < 0: a
     * negative errno (EMFILE ...); accepting goes on, the callee may stop it. [peer] is valid
     * during the call. */
    void (*on_accept)(struct loop_fd *fd, int sock, const struct sockaddr *peer,
                      socklen_t peer_bytes);

    /* loop_connect ended: 0, or a negative errno (-ECONNREFUSED ...), and then there is nothing to
     * do but loop_close. */
    void (*on_connected)(struct loop_fd *fd, int error);

    /* A datagram has come, perhaps an empty one. [in] and [from] are valid during the call. */
    void (*on_datagram)(struct loop_fd *fd, slice in, const struct sockaddr *from,
                        socklen_t from_bytes);

    /* What loop_poll asked for is so: [events] of enum loop_poll. */
    void (*on_ready)(struct loop_fd *fd, unsigned events);
};

/* One descriptor, embedded in its owner (stream, listener). 32 bytes. */
struct loop_fd {
    /* read-only */
    const struct loop_fd_ops *ops;
    int fd;         /* -1 = closed */
    uint16_t want;  /* private: LOOP_WANT_* */
    uint16_t state; /* private to the back end */
    /* private */
    struct list_node ready; /* in the back end's run queue */
};

/* Result of loop_send and loop_sendfile: on_sent will tell. Until then the memory (file) that was
 * named must stay as it is, and no other send may be started on this descriptor. */
#define LOOP_PENDING ((ssize_t)(-0x7fffffff))

/* [fd] (non-blocking) becomes known to the loop; the caller embeds [lfd]. Nothing is told until
 * something is asked for. < 0: -errno. */
MUST_USE int loop_open(struct loop *loop, struct loop_fd *lfd, int fd,
                       const struct loop_fd_ops *ops);

/* No more news; the descriptor is closed. The memory of *lfd must stay until the end of the turn
 * (loop_bury). */
void loop_close(struct loop *loop, struct loop_fd *lfd);

/* No more news; the descriptor, which is returned, stays open and is the caller's again: for
 * another owner, who may loop_open it in this same turn. No send may be pending. *lfd as after
 * loop_close. -1: it was closed. */
MUST_USE int loop_release(struct loop *loop, struct loop_fd *lfd);

/* Tell on_recv whenever bytes arrive / no longer. Right after accepting, bytes are often there
 * already: the first attempt is made in this turn. */
void loop_recv_start(struct loop *loop, struct loop_fd *lfd);
void loop_recv_stop(struct loop *loop, struct loop_fd *lfd);

/* Sends as much as the kernel takes now. >= 1: so many bytes were taken; LOOP_PENDING: on_sent will
 * tell; other < 0: -errno. [more]: more follows at once (MSG_MORE). */
MUST_USE ssize_t loop_send(struct loop *loop, struct loop_fd *lfd, const struct iovec *iov,
                           int count, bool more);

/* The same for [count] bytes of [file] from [offset]; 0: the file ended early. The bytes should be
 * in memory already, else this blocks: see service/vfs. */
MUST_USE ssize_t loop_sendfile(struct loop *loop, struct loop_fd *lfd, int file, uint64_t offset,
                               size_t count);

/* From now on only full segments go out (TCP_CORK) / what is left goes out now. For the bytes of a
 * large file: each acknowledgement that comes in between would else send what has just been put
 * there, as a segment of its own. Where there are no segments, or where it does not pay (BBR), it
 * does nothing. */
void loop_cork(struct loop *loop, struct loop_fd *lfd, bool on);

/* No more bytes will be sent (TCP FIN). */
void loop_shutdown(struct loop *loop, struct loop_fd *lfd);

/* Bytes that the kernel holds and the peer has not acknowledged yet; 0 when unknown. */
size_t loop_unsent(struct loop *loop, struct loop_fd *lfd);

/* Tell on_accept for each new connection / no longer. */
void loop_accept_start(struct loop *loop, struct loop_fd *lfd);
void loop_accept_stop(struct loop *loop, struct loop_fd *lfd);

/* Instead of loop_open: [lfd] becomes a new stream socket that connects to [to] (Internet or Unix);
 * on_connected tells, in a later turn. It waits as long as the kernel does: time is the caller's.
 * Afterwards it can be used, or released and handed on. < 0: -errno, at once; nothing is open. */
MUST_USE int loop_connect(struct loop *loop, struct loop_fd *lfd, const struct sockaddr *to,
                          socklen_t to_bytes, const struct loop_fd_ops *ops);

/* ---- Datagram sockets. ---- */

/* Tell on_datagram for each that comes / no longer. Those of more than 64 KiB are dropped. */
void loop_datagrams_start(struct loop *loop, struct loop_fd *lfd);
void loop_datagrams_stop(struct loop *loop, struct loop_fd *lfd);

/* Sends one datagram now or never. < 0: -errno; -EAGAIN: the kernel has no room, it is lost. */
MUST_USE int loop_send_to(struct loop *loop, struct loop_fd *lfd, slice data,
                          const struct sockaddr *to, socklen_t to_bytes);

/* ---- For libraries that own their descriptor, and read and write it themselves (c-ares). Nobody
 * else: what the loop reads itself works on every engine, this works on epoll only. ---- */

enum loop_poll { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };

/* On a descriptor that came by loop_open, and that no other function is used on: tell on_ready in
 * every turn in which one of [events] is so (an error counts as all of them); 0: nothing more. It
 * is never closed by the loop if it leaves by loop_release, before the library closes it. < 0:
 * -errno. */
MUST_USE int loop_poll(struct loop *loop, struct loop_fd *lfd, unsigned events);

/* ---- Time. Read once per turn. ---- */
int64_t loop_now_ms(const struct loop *loop); /* monotonic */
int64_t loop_unix_s(
    const struct loop *loop); /* seconds since 1970, updated when loop_now_ms passes a second */
int64_t loop_unix_ms(const struct loop *loop); /* the same to the millisecond: for logs */
/* How long this turn has lasted, to a few milliseconds: for those who share it out. Costs next to
 * nothing. */
int64_t loop_turn_ms(const struct loop *loop);
struct timeout_wheel *loop_wheel(struct loop *loop);

/* ---- Later in this turn. ---- */

/* A call that is made once, after the due timeouts. Embedded in its owner. */
struct loop_deferred {
    struct list_node link;
    void (*fn)(struct loop_deferred *d);
};
void loop_deferred_init(struct loop_deferred *d, void (*fn)(struct loop_deferred *d));
/* Posting twice before it ran is once. What is posted from a deferred call runs in the next turn,
 * which then does not wait. */
void loop_defer(struct loop *loop, struct loop_deferred *d);
void loop_defer_cancel(struct loop_deferred *d);

/* [fn] is called at the very end of this turn, when nothing of the turn can refer to its owner any
 * more: to free it. Same struct; it may be posted for both purposes one after another. */
void loop_bury(struct loop *loop, struct loop_deferred *d);

/* ---- Signals. ---- */

/* From now on [fn] is told of these signals in the loop (they are blocked for the process: call it
 * before threads start). Once per loop. */
typedef void (*loop_signal_fn)(void *owner, int signo);
MUST_USE int loop_signals(struct loop *loop, const int *signos, size_t count, loop_signal_fn fn,
                          void *owner);

/* ---- Life. ---- */

/* On epoll. Memory is charged to [book]; [log] outlives the loop. NULL and *error_out = -errno on
 * failure. */
MUST_USE struct loop *loop_new(struct mem_book *book, struct log *log, int *error_out);

/* Runs turns until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* One turn; waits at most until [deadline_ms] (loop_now_ms's clock), 0 = does not wait. For tests.
 */
void loop_turn(struct loop *loop, int64_t deadline_ms);

/* All descriptors are closed and all lanes freed (BUG otherwise). */
void loop_free(struct loop **loop);

struct mem_book *loop_book(struct loop *loop);
struct log *loop_log(struct loop *loop);

/* Figures for status. */
struct loop_stats {
    uint64_t turns, events,
        slow_turns; /* slow: the loop did not come back to waiting for more than 10 ms */
    int64_t slowest_ms;
};
const struct loop_stats *loop_stats(const struct loop *loop);

#endif
