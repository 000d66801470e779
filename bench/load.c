/* load: a single-thread epoll load generator for HTTP/1.1 or echoed lines (--echo), and a holder of
 * slow and idle clients.
 *
 * Made to cost less than the server that it measures: requests are built once, a response head that
 * is byte for byte the one seen before is not parsed again, and large bodies are thrown away inside
 * the kernel (MSG_TRUNC). Every response is still checked: status 200, a Content-Length, exactly so
 * many bytes.
 *
 * New connections per request: the server closes first (the client asks for it with "Connection:
 * close" and waits for the end of the stream), then the client resets. So neither side keeps a
 * TIME_WAIT entry, and the 28,000 ports of one address never run out; all servers do the same work
 * for it.
 *
 * Prints one line of JSON on stdout. With idle or slow clients it prints {"held": N} as soon as
 * they are all in place; with --hold it then keeps them until its stdin is closed. Used by
 * bench/run and bench/hang. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    SCRATCH_BYTES = 64 * 1024,
    DISCARD_BYTES = 16 * 1024 * 1024, /* at most so much of a body is thrown away by one call */
    WAKE_BYTES = 1024 * 1024,         /* of a long body we want to be woken only for so much */
    HEAD_MAX = 16 * 1024,
    MAX_EVENTS = 256,
    SUB_BUCKETS = 64, /* per power of two: a latency is known to 1.6 % */
    BUCKETS = 59 * SUB_BUCKETS,
    OPENING_AT_ONCE = 100,
    FAILURES_MAX = 1000, /* in a row: the server is gone */
    TICK_MS = 5,
};

static const uint64_t SECOND_NS = 1000000000;

struct options {
    uint16_t port;
    size_t connections;
    double seconds;
    uint64_t count;
    size_t depth;
    bool close;
    size_t echo; /* bytes of a line that is sent and expected back, instead of HTTP; 0 = HTTP */
    const char *field;
    const char *path;
    const char *paths_file;
    size_t idle;
    size_t slow_readers;
    size_t slow_senders;
    const char *slow_path;
    bool hold;
};

enum kind { BUSY, IDLE, SLOW_READER, SLOW_SENDER };

struct conn {
    int fd;
    enum kind kind;
    bool sent;        /* something went out, so the connection is up */
    bool ending;      /* the server has announced that it will close */
    bool lazy;        /* is woken only for WAKE_BYTES */
    bool placed;      /* idle and slow ones: counted as held */
    size_t in_flight; /* requests sent whose response is not complete */
    uint64_t body_left;
    uint64_t sent_at;
    uint64_t steps; /* slow ones: bytes read or sent so far */
    char *part;     /* the beginning of a response head that came in pieces */
    size_t part_bytes;
};

struct head {
    size_t bytes;
    uint64_t body_bytes;
    bool ok;
    bool ending;
};

struct text {
    char *bytes;
    size_t n;
};

struct load {
    struct options opt;
    int epoll;
    struct text *requests; /* one, or one per line of --paths */
    size_t request_count;
    size_t request_next;
    struct text slow_request;
    struct conn *conns;
    size_t conn_count;
    size_t opened; /* idle and slow ones: how many were begun, how many are in place */
    size_t placed;
    bool measuring;
    bool stopping;
    bool released; /* stdin was closed */
    uint64_t started_at;
    uint64_t deadline;
    uint64_t now;
    uint64_t slow_since;
    uint64_t slow_steps;
    size_t in_flight;
    uint64_t issued;
    uint64_t requests_done, errors, bad_status, bytes, connects, reconnects, idle_lost;
    uint64_t readers_ended, senders_ended, slow_first_end, slow_last_end;
    size_t failures;
    int last_errno;
    uint64_t latency_max;
    struct head known; /* verdict on the head in known_bytes */
    char known_bytes[HEAD_MAX];
    uint64_t histogram[BUCKETS];
    char scratch[SCRATCH_BYTES];
};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *need(void *memory)
{
    if (!memory)
        die("out of memory");
    return memory;
}

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* ---- options ---- */

static void usage(void)
{
    fprintf(stderr,
            "usage: load --port N [--path /x | --paths FILE] [--connections N] [--seconds S | "
            "--count N]\n"
            "            [--depth K] [--close] [--idle N] [--slow-readers N] [--slow-senders N]\n"
            "            [--slow-path /x] [--hold] [--field LINES | --echo BYTES]\n");
    exit(2);
}

static double parse_number(const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || value < 0 || value > 1e15) {
        fprintf(stderr, "load: \"%s\" is not a number\n", text);
        exit(2);
    }
    return value;
}

static void set_held_option(struct options *opt, int letter, const char *value)
{
    switch (letter) {
    case 'i':
        opt->idle = (size_t)parse_number(value);
        break;
    case 'r':
        opt->slow_readers = (size_t)parse_number(value);
        break;
    case 'w':
        opt->slow_senders = (size_t)parse_number(value);
        break;
    case 'R':
        opt->slow_path = value;
        break;
    case 'h':
        opt->hold = true;
        break;
    default:
        usage();
    }
}

static void set_option(struct options *opt, int letter, const char *value)
{
    switch (letter) {
    case 'p':
        opt->port = (uint16_t)parse_number(value);
        break;
    case 'c':
        opt->connections = (size_t)parse_number(value);
        break;
    case 's':
        opt->seconds = parse_number(value);
        break;
    case 'n':
        opt->count = (uint64_t)parse_number(value);
        break;
    case 'k':
        opt->depth = (size_t)parse_number(value);
        break;
    case 'x':
        opt->close = true;
        break;
    case 'u':
        opt->path = value;
        break;
    case 'U':
        opt->paths_file = value;
        break;
    case 'e':
        opt->echo = (size_t)parse_number(value);
        break;
    case 'f':
        opt->field = value;
        break;
    default:
        set_held_option(opt, letter, value);
    }
}

static void parse_options(struct options *opt, int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'n'},
        {"depth", required_argument, NULL, 'k'},
        {"close", no_argument, NULL, 'x'},
        {"path", required_argument, NULL, 'u'},
        {"paths", required_argument, NULL, 'U'},
        {"echo", required_argument, NULL, 'e'},
        {"field", required_argument, NULL, 'f'},
        {"idle", required_argument, NULL, 'i'},
        {"slow-readers", required_argument, NULL, 'r'},
        {"slow-senders", required_argument, NULL, 'w'},
        {"slow-path", required_argument, NULL, 'R'},
        {"hold", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *opt = (struct options){.depth = 1, .path = "/", .slow_path = "/", .field = ""};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;)
        set_option(opt, c, optarg);
    if (optind < argc || !opt->port || !opt->depth)
        usage();
    if (opt->connections && opt->seconds <= 0 && !opt->count)
        usage();
    if (opt->echo > HEAD_MAX)
        usage();
}

/* ---- requests, built once ---- */

static struct text repeat(const char *one, size_t n, size_t times)
{
    struct text text = {.bytes = need(malloc(n * times)), .n = n * times};
    for (size_t i = 0; i < times; i++)
        memcpy(text.bytes + i * n, one, n);
    return text;
}

static struct text make_request(const struct options *opt, const char *path, size_t path_bytes)
{
    char one[4096];
    int n = snprintf(one, sizeof one, "GET %.*s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%s\r\n",
                     (int)path_bytes, path, opt->field, *opt->field ? "\r\n" : "",
                     opt->close ? "Connection: close\r\n" : "");
    if (n < 0 || (size_t)n >= sizeof one) {
        fprintf(stderr, "load: the path is too long\n");
        exit(2);
    }
    return repeat(one, (size_t)n, opt->depth);
}

/* --echo: the request is a line, and so is the response, byte for byte. It takes the place of the
 * known head, with no body behind it. */
static struct text make_line(struct load *l)
{
    size_t n = l->opt.echo;
    for (size_t i = 0; i + 1 < n; i++)
        l->known_bytes[i] = (char)('a' + i % 26);
    l->known_bytes[n - 1] = '\n';
    l->known = (struct head){.bytes = n, .ok = true};
    return repeat(l->known_bytes, n, l->opt.depth);
}

static void read_paths(struct load *l)
{
    FILE *file = fopen(l->opt.paths_file, "re");
    char *line = NULL;
    size_t room = 0, capacity = 0;
    if (!file)
        die(l->opt.paths_file);
    for (ssize_t n; (n = getline(&line, &room, file)) > 0;) {
        if (line[n - 1] == '\n')
            n--;
        if (l->request_count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            l->requests = need(realloc(l->requests, capacity * sizeof *l->requests));
        }
        l->requests[l->request_count++] = make_request(&l->opt, line, (size_t)n);
    }
    free(line);
    fclose(file);
    if (!l->request_count) {
        fprintf(stderr, "load: %s holds no path\n", l->opt.paths_file);
        exit(2);
    }
}

static void make_requests(struct load *l)
{
    struct options once = {.depth = 1, .field = ""};
    l->slow_request = make_request(&once, l->opt.slow_path, strlen(l->opt.slow_path));
    if (l->opt.paths_file) {
        read_paths(l);
        return;
    }
    l->requests = need(malloc(sizeof *l->requests));
    l->requests[0] =
        l->opt.echo ? make_line(l) : make_request(&l->opt, l->opt.path, strlen(l->opt.path));
    l->request_count = 1;
}

/* ---- latencies: log-linear buckets ---- */

static size_t bucket_of(uint64_t ns)
{
    if (ns < SUB_BUCKETS)
        return ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 6;
    return (size_t)shift * SUB_BUCKETS + (ns >> shift);
}

static uint64_t bucket_value(size_t bucket)
{
    if (bucket < 2 * SUB_BUCKETS)
        return bucket;
    size_t shift = bucket / SUB_BUCKETS - 1;
    return (uint64_t)(bucket - shift * SUB_BUCKETS) << shift;
}

static void note_latency(struct load *l, uint64_t ns)
{
    l->histogram[bucket_of(ns)]++;
    if (ns > l->latency_max)
        l->latency_max = ns;
}

static double percentile_us(const struct load *l, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)l->requests_done), seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += l->histogram[i];
        if (seen > wanted)
            return (double)bucket_value(i) / 1000.0;
    }
    return (double)l->latency_max / 1000.0;
}

/* ---- one connection: open, send, close ---- */

static void watch(struct load *l, struct conn *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(l->epoll, operation, c->fd, &event) < 0)
        die("epoll_ctl");
}

static void close_conn(struct load *l, struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd); /* leaves epoll by itself */
    c->fd = -1;
    l->in_flight -= c->in_flight;
    c->in_flight = 0;
    c->part_bytes = 0;
    c->body_left = 0;
    c->sent = c->ending = c->lazy = false;
}

/* A failure is an error for each request it took along, at least one; too many in a row end the
 * run. */
static void note_failure(struct load *l, const struct conn *c)
{
    l->errors += c->in_flight ? c->in_flight : 1;
    l->last_errno = errno;
    if (++l->failures < FAILURES_MAX)
        return;
    fprintf(stderr, "load: %d failures in a row, the last: %s\n", FAILURES_MAX, strerror(errno));
    exit(1);
}

static bool connect_conn(struct load *l, struct conn *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(l->opt.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {.l_onoff = 1};
    int one = 1, small = 4096;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (!l->opt.close)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->kind == SLOW_READER)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    l->connects++;
    return connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS;
}

static bool may_issue(const struct load *l)
{
    return !l->stopping && (!l->opt.count || l->issued < l->opt.count);
}

/* Send the next batch. */
static bool send_request(struct load *l, struct conn *c)
{
    struct text text = l->requests[l->request_next];
    ssize_t n = send(c->fd, text.bytes, text.n, MSG_NOSIGNAL);
    if (n < 0 || (size_t)n != text.n)
        return false; /* never seen: a batch is small and the one before was answered */
    if (++l->request_next == l->request_count)
        l->request_next = 0;
    c->sent = true;
    c->in_flight = l->opt.depth;
    c->sent_at = l->now;
    l->in_flight += c->in_flight;
    l->issued += c->in_flight;
    return true;
}

/* The request goes out when epoll says that the connection is up, as with any event-driven client.
 * (Sent at once after connect it would on loopback be there before the server can accept: then
 * TCP_DEFER_ACCEPT shows no gain, which it does for clients that are really away.) */
static void open_busy(struct load *l, struct conn *c)
{
    while (may_issue(l)) {
        if (connect_conn(l, c)) {
            watch(l, c, EPOLL_CTL_ADD, EPOLLOUT);
            return;
        }
        note_failure(l, c);
        close_conn(l, c);
    }
}

static void reopen(struct load *l, struct conn *c)
{
    close_conn(l, c);
    if (c->kind == BUSY)
        open_busy(l, c);
}

/* ---- responses ---- */

static bool has_token(const char *line, size_t n, const char *token)
{
    size_t length = strlen(token);
    for (size_t i = 0; i + length <= n; i++) {
        if (strncasecmp(line + i, token, length) == 0)
            return true;
    }
    return false;
}

static void parse_field(struct head *head, const char *line, size_t n, bool *has_length)
{
    static const char length[] = "content-length:", connection[] = "connection:";
    if (n >= sizeof length - 1 && strncasecmp(line, length, sizeof length - 1) == 0) {
        head->body_bytes = strtoull(line + sizeof length - 1, NULL, 10); /* ends at the CR */
        *has_length = true;
    } else if (n >= sizeof connection - 1 &&
               strncasecmp(line, connection, sizeof connection - 1) == 0) {
        head->ending = has_token(line, n, "close");
    }
}

/* [bytes] is a whole head, including the empty line. */
static struct head parse_head(const char *bytes, size_t n)
{
    struct head head = {.bytes = n};
    bool has_length = false;
    const char *end = bytes + n, *line = bytes;
    while (line < end) {
        const char *stop = memchr(line, '\r', (size_t)(end - line));
        if (!stop)
            break;
        parse_field(&head, line, (size_t)(stop - line), &has_length);
        line = stop + 2;
    }
    head.ok = has_length && n > 13 && memcmp(bytes, "HTTP/1.1 200 ", 13) == 0;
    head.ending |= !has_length; /* without a length only the end of the stream ends it */
    return head;
}

/* Take a head from the front of [bytes]; bytes == 0 in the result: not complete. */
static struct head take_head(struct load *l, const char *bytes, size_t n)
{
    if (l->known.bytes && n >= l->known.bytes && !memcmp(bytes, l->known_bytes, l->known.bytes))
        return l->known;
    if (l->opt.echo) /* not (yet) what was sent: wait for the rest, or refuse it */
        return (struct head){.bytes = n < l->known.bytes ? 0 : n};
    const char *end = memmem(bytes, n, "\r\n\r\n", 4);
    if (!end)
        return (struct head){0};
    struct head head = parse_head(bytes, (size_t)(end - bytes) + 4);
    if (head.ok && head.bytes <= HEAD_MAX) {
        l->known = head;
        memcpy(l->known_bytes, bytes, head.bytes);
    }
    return head;
}

/* Add to the piece of a head that came before. Returns how many of [n] bytes were used. */
static size_t extend_part(struct conn *c, const char *bytes, size_t n)
{
    if (!c->part)
        c->part = need(malloc(HEAD_MAX));
    size_t room = HEAD_MAX - c->part_bytes;
    size_t take = n < room ? n : room;
    memcpy(c->part + c->part_bytes, bytes, take);
    c->part_bytes += take;
    return take;
}

/* Read a head at the front of [bytes] into *out. Returns the bytes used, or -1 if it is too long.
 */
static ssize_t read_head(struct load *l, struct conn *c, const char *bytes, size_t n,
                         struct head *out)
{
    if (!c->part_bytes) {
        *out = take_head(l, bytes, n);
        return (ssize_t)(out->bytes ? out->bytes : extend_part(c, bytes, n));
    }
    size_t before = c->part_bytes;
    size_t used = extend_part(c, bytes, n);
    *out = take_head(l, c->part, c->part_bytes);
    if (!out->bytes)
        return c->part_bytes == HEAD_MAX ? -1 : (ssize_t)used;
    c->part_bytes = 0;
    return (ssize_t)(out->bytes - before);
}

static void response_done(struct load *l, struct conn *c)
{
    c->in_flight--;
    l->in_flight--;
    l->failures = 0;
    if (c->kind == IDLE) {
        l->placed++;
        c->placed = true;
        return;
    }
    l->requests_done++;
    note_latency(l, l->now - c->sent_at);
}

/* On loopback it is the server that pays for waking us, an interrupt to another core for every 64
 * KB: three times what the sending itself costs. Over a network it would pay nothing. So of a long
 * body let it come together. */
static void tune_wakes(struct conn *c)
{
    bool lazy = c->body_left >= 2 * WAKE_BYTES;
    int bytes = lazy ? WAKE_BYTES : 1;
    if (lazy == c->lazy)
        return;
    c->lazy = lazy;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

/* False when what came is no response that can be counted; the connection is useless then. */
static bool feed(struct load *l, struct conn *c, const char *bytes, size_t n)
{
    while (n && c->in_flight) {
        if (c->body_left) {
            size_t take = n < c->body_left ? n : c->body_left;
            bytes += take;
            n -= take;
            c->body_left -= take;
        } else {
            struct head head;
            ssize_t used = read_head(l, c, bytes, n, &head);
            if (used < 0)
                return false;
            bytes += used;
            n -= (size_t)used;
            if (!head.bytes)
                return true;
            c->ending |= head.ending;
            if (!head.ok) {
                l->bad_status++;
                return false;
            }
            c->body_left = head.body_bytes;
        }
        if (!c->body_left)
            response_done(l, c);
    }
    tune_wakes(c);
    return n == 0;
}

static void next_batch(struct load *l, struct conn *c)
{
    if (!may_issue(l) || c->kind != BUSY || c->ending || l->opt.close)
        return;
    if (send_request(l, c))
        return;
    if (errno == EPIPE || errno == ECONNRESET)
        l->reconnects++; /* it closed a connection that was at rest: its right */
    else
        note_failure(l, c);
    reopen(l, c);
}

/* ---- events ---- */

static ssize_t receive(struct load *l, struct conn *c)
{
    ssize_t n;
    if (c->body_left > SCRATCH_BYTES) {
        size_t wanted = c->body_left < DISCARD_BYTES ? c->body_left : DISCARD_BYTES;
        n = recv(c->fd, NULL, wanted, MSG_TRUNC);
    } else {
        n = recv(c->fd, l->scratch, sizeof l->scratch, 0);
    }
    if (n > 0)
        l->bytes += (uint64_t)n;
    return n;
}

/* The end of the stream, or an error. In order if nothing was asked for, or the server said so
 * before. */
static void on_end(struct load *l, struct conn *c, bool clean)
{
    if (c->kind == IDLE && c->placed) {
        l->idle_lost++;
        close_conn(l, c);
        return;
    }
    if (l->stopping && !c->in_flight) {
        close_conn(l, c);
        return;
    }
    if (c->in_flight && !(c->ending && clean && !c->body_left && !c->part_bytes))
        note_failure(l, c);
    else if (!l->opt.close)
        l->reconnects++;
    reopen(l, c);
}

static void on_readable(struct load *l, struct conn *c)
{
    bool discard = c->body_left > SCRATCH_BYTES;
    ssize_t n = receive(l, c);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        on_end(l, c, n == 0);
        return;
    }
    l->now = clock_ns();
    if (discard) {
        c->body_left -= (uint64_t)n;
        tune_wakes(c);
        if (!c->body_left)
            response_done(l, c);
    } else if (!feed(l, c, l->scratch, (size_t)n)) {
        note_failure(l, c);
        reopen(l, c);
        return;
    }
    if (!c->in_flight)
        next_batch(l, c);
}

static void on_connected(struct load *l, struct conn *c)
{
    if (!may_issue(l) && c->kind == BUSY) {
        close_conn(l, c);
    } else if (send_request(l, c)) {
        watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
    } else {
        note_failure(l, c);
        reopen(l, c);
    }
}

static void on_event(struct load *l, const struct epoll_event *event)
{
    struct conn *c = event->data.ptr;
    if (!c) {
        l->released = true;
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    } else if (c->fd >= 0 && !c->sent) {
        l->now = clock_ns();
        on_connected(l, c);
    } else if (c->fd >= 0) {
        on_readable(l, c);
    }
}

/* ---- idle and slow clients ---- */

/* Idle ones take part in epoll; slow ones are visited once a second instead. */
static void open_held(struct load *l, struct conn *c)
{
    if (!connect_conn(l, c)) {
        note_failure(l, c);
        close_conn(l, c);
        return;
    }
    if (c->kind == IDLE) {
        watch(l, c, EPOLL_CTL_ADD, EPOLLOUT);
        return;
    }
    if (c->kind == SLOW_READER)
        c->sent = send(c->fd, l->slow_request.bytes, l->slow_request.n, MSG_NOSIGNAL) > 0;
    c->placed = true;
    l->placed++;
}

static void open_more_held(struct load *l, size_t total)
{
    while (l->opened < total && l->opened - l->placed < OPENING_AT_ONCE)
        open_held(l, &l->conns[l->opt.connections + l->opened++]);
}

/* A head that never ends: the request line, Host, then one field without end. */
static char slow_byte(const struct load *l, uint64_t step)
{
    size_t n = l->slow_request.n - 2;
    static const char field[] = "X-Slow: ";
    if (step < n)
        return l->slow_request.bytes[step];
    return step - n < sizeof field - 1 ? field[step - n] : 'a';
}

static bool is_established(int fd)
{
    uint8_t state = 0; /* the first byte of struct tcp_info */
    socklen_t n = sizeof state;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &n) == 0 &&
           (state == TCP_ESTABLISHED || state == TCP_SYN_SENT);
}

static bool slow_step(struct load *l, struct conn *c)
{
    char byte = slow_byte(l, c->steps);
    ssize_t n;
    if (!is_established(c->fd))
        return false;
    if (c->kind == SLOW_SENDER) {
        n = send(c->fd, &byte, 1, MSG_NOSIGNAL);
    } else if (!c->sent) {
        n = send(c->fd, l->slow_request.bytes, l->slow_request.n, MSG_NOSIGNAL);
        c->sent = n > 0;
    } else {
        n = recv(c->fd, &byte, 1, 0);
        if (n == 0)
            return false;
    }
    c->steps += n > 0;
    return n > 0 || errno == EAGAIN;
}

static void slow_ended(struct load *l, struct conn *c)
{
    uint64_t after = l->now - l->slow_since;
    if (c->kind == SLOW_READER)
        l->readers_ended++;
    else
        l->senders_ended++;
    if (!l->slow_first_end)
        l->slow_first_end = after;
    l->slow_last_end = after;
    close_conn(l, c);
}

/* Each slow client makes one step a second; they are spread evenly over it. */
static void run_slow(struct load *l, uint64_t now)
{
    size_t slow = l->opt.slow_readers + l->opt.slow_senders;
    size_t first = l->opt.connections + l->opt.idle;
    double due = (double)(now - l->slow_since) / (double)SECOND_NS * (double)slow;
    l->now = now;
    for (; l->slow_steps < (uint64_t)due; l->slow_steps++) {
        struct conn *c = &l->conns[first + l->slow_steps % slow];
        if (c->fd >= 0 && !slow_step(l, c))
            slow_ended(l, c);
    }
}

/* ---- the run ---- */

static void wait_events(struct load *l, int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(l->epoll, events, MAX_EVENTS, timeout_ms);
    l->now = clock_ns();
    for (int i = 0; i < n; i++)
        on_event(l, &events[i]);
}

static bool is_slow(const struct load *l)
{
    return l->opt.slow_readers + l->opt.slow_senders > 0;
}

/* Connect all idle and slow clients; give up after a while, what is missing shows in "held". */
static void place_held(struct load *l)
{
    size_t total = l->opt.idle + l->opt.slow_readers + l->opt.slow_senders;
    uint64_t give_up = clock_ns() + 30 * SECOND_NS;
    l->now = clock_ns();
    while (l->placed < total && l->now < give_up && !l->released) {
        open_more_held(l, total);
        wait_events(l, l->placed < total ? 100 : 0);
    }
    l->slow_since = clock_ns();
    if (total) {
        printf("{\"held\": %zu}\n", l->placed);
        fflush(stdout);
    }
}

static void hold(struct load *l)
{
    while (!l->released) {
        wait_events(l, is_slow(l) ? TICK_MS : 1000);
        if (is_slow(l))
            run_slow(l, clock_ns());
    }
}

static bool is_finished(const struct load *l)
{
    if (!may_issue(l) && !l->in_flight)
        return true;
    return l->stopping && l->now > l->deadline + SECOND_NS; /* let what is under way finish */
}

static void measure(struct load *l)
{
    l->issued = l->in_flight = 0;
    l->bytes = l->connects = 0;
    l->started_at = l->now = clock_ns();
    l->deadline =
        l->opt.seconds > 0 ? l->now + (uint64_t)(l->opt.seconds * (double)SECOND_NS) : UINT64_MAX;
    for (size_t i = 0; i < l->opt.connections; i++)
        open_busy(l, &l->conns[i]);
    while (!is_finished(l) && !l->released) {
        wait_events(l, is_slow(l) ? TICK_MS : 100);
        if (is_slow(l))
            run_slow(l, l->now);
        l->stopping |= l->now >= l->deadline;
    }
    l->now = clock_ns();
}

static void report(const struct load *l)
{
    double seconds = (double)(l->now - l->started_at) / (double)SECOND_NS;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"requests\": %llu, \"seconds\": %.4f, \"rps\": %.1f, ",
           (unsigned long long)l->requests_done, seconds, (double)l->requests_done / seconds);
    printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, ", percentile_us(l, 0.5),
           percentile_us(l, 0.99), (double)l->latency_max / 1000.0);
    printf("\"errors\": %llu, \"bad_status\": %llu, \"bytes\": %llu, ",
           (unsigned long long)l->errors, (unsigned long long)l->bad_status,
           (unsigned long long)l->bytes);
    printf("\"connects\": %llu, \"reconnects\": %llu, \"unanswered\": %zu, ",
           (unsigned long long)l->connects, (unsigned long long)l->reconnects, l->in_flight);
    printf("\"held\": %zu, \"idle_lost\": %llu, \"readers_ended\": %llu, \"senders_ended\": %llu, ",
           l->placed, (unsigned long long)l->idle_lost, (unsigned long long)l->readers_ended,
           (unsigned long long)l->senders_ended);
    printf("\"first_end_s\": %.1f, \"last_end_s\": %.1f, \"cpu_seconds\": %.3f, \"last_error\": "
           "\"%s\"}\n",
           (double)l->slow_first_end / 1e9, (double)l->slow_last_end / 1e9,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           l->errors ? strerror(l->last_errno) : "");
}

static void make_conns(struct load *l)
{
    const struct options *opt = &l->opt;
    l->conn_count = opt->connections + opt->idle + opt->slow_readers + opt->slow_senders;
    l->conns = need(calloc(l->conn_count + 1, sizeof *l->conns));
    for (size_t i = 0; i < l->conn_count; i++) {
        size_t held = i - opt->connections;
        l->conns[i].fd = -1;
        if (i < opt->connections)
            l->conns[i].kind = BUSY;
        else if (held < opt->idle)
            l->conns[i].kind = IDLE;
        else
            l->conns[i].kind = held < opt->idle + opt->slow_readers ? SLOW_READER : SLOW_SENDER;
    }
}

/* With --hold: epoll tells when the one who started us closes our stdin. */
static void watch_stdin(struct load *l)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLHUP, .data.ptr = NULL};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        die("--hold needs a pipe or a terminal as stdin");
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    struct load *l = need(calloc(1, sizeof *l));
    parse_options(&l->opt, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    make_requests(l);
    make_conns(l);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        die("epoll_create1");
    if (l->opt.hold)
        watch_stdin(l);
    place_held(l);
    if (l->opt.connections)
        measure(l);
    else
        l->started_at = clock_ns();
    if (l->opt.hold)
        hold(l);
    if (!l->opt.connections)
        l->now = clock_ns();
    report(l);
    return 0;
}
