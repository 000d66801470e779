/* floor: what the kernel alone costs.
 *
 * A single-thread epoll program that reads once and writes a fixed answer. It parses nothing,
 * checks nothing and keeps no state but "how many bytes are still to go": a real server cannot be
 * cheaper than this with the same system calls, so its distance from the floor is what its own code
 * costs. Used by bench/run only; never a server to be shown to a network. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FD = 65536, INPUT_BYTES = 64 * 1024, MAX_EVENTS = 256, REPEAT = 64 };

struct options {
    uint16_t port;
    size_t body_bytes;
    const char *file; /* body by sendfile from here instead of from memory */
    bool close;       /* close after the answer */
    bool defer;       /* TCP_DEFER_ACCEPT: accept only what has sent something */
    bool eager;       /* read right after accept, without asking epoll first */
    bool echo;        /* send back what was read */
    bool brief;       /* the head of a script's answer, not that of a file */
    bool pipeline;    /* answer as often as "\r\n\r\n" was read */
};

struct floor {
    struct options opt;
    int epoll;
    int listener;
    int file;
    uint64_t file_bytes;
    char *answers; /* the answer, REPEAT times in a row with --pipeline, else once */
    size_t answer_bytes;
    size_t answers_bytes;
    uint64_t left[MAX_FD]; /* still to send, always the last bytes of [answers] or of the file */
    char input[INPUT_BYTES];
};

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t parse_number(const char *text, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || value > max) {
        fprintf(stderr, "floor: \"%s\" is not a number from 0 to %llu\n", text,
                (unsigned long long)max);
        exit(2);
    }
    return value;
}

static void set_option(struct options *opt, int letter)
{
    switch (letter) {
    case 'p':
        opt->port = (uint16_t)parse_number(optarg, 65535);
        break;
    case 'b':
        opt->body_bytes = parse_number(optarg, 1 << 30);
        break;
    case 'f':
        opt->file = optarg;
        break;
    case 'c':
        opt->close = true;
        break;
    case 'd':
        opt->defer = true;
        break;
    case 'e':
        opt->eager = true;
        break;
    case 'k':
        opt->pipeline = true;
        break;
    case 'o':
        opt->echo = true;
        break;
    case 'r':
        opt->brief = true;
        break;
    default:
        fprintf(stderr, "usage: floor --port N [--body BYTES | --file FILE] [--close] [--defer]"
                        " [--eager] [--pipeline] [--brief] [--echo]\n");
        exit(2);
    }
}

static void parse_options(struct options *opt, int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'}, {"body", required_argument, NULL, 'b'},
        {"file", required_argument, NULL, 'f'}, {"close", no_argument, NULL, 'c'},
        {"defer", no_argument, NULL, 'd'},      {"eager", no_argument, NULL, 'e'},
        {"pipeline", no_argument, NULL, 'k'},   {"brief", no_argument, NULL, 'r'},
        {"echo", no_argument, NULL, 'o'},       {NULL, 0, NULL, 0},
    };
    *opt = (struct options){.body_bytes = 1024};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;)
        set_option(opt, c);
}

/* The headers that a file server sends, so that as many bytes pass as with the others. */
static void make_answer(struct floor *f)
{
    char head[512];
    uint64_t length = f->opt.file ? f->file_bytes : f->opt.body_bytes;
    const char *more = f->opt.brief ? ""
                                    : "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
                                      "ETag: \"0000-0000\"\r\nAccept-Ranges: bytes\r\n";
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
                     "Content-Type: text/html\r\nContent-Length: %llu\r\n"
                     "%sConnection: %s\r\n\r\n",
                     (unsigned long long)length, more, f->opt.close ? "close" : "keep-alive");
    size_t repeat = f->opt.pipeline ? REPEAT : 1;
    f->answer_bytes = (size_t)n + (f->opt.file ? 0 : f->opt.body_bytes);
    f->answers_bytes = f->answer_bytes * repeat;
    f->answers = malloc(f->answers_bytes);
    if (!f->answers)
        die("malloc");
    memset(f->answers, 'x', f->answers_bytes);
    for (size_t i = 0; i < repeat; i++)
        memcpy(f->answers + i * f->answer_bytes, head, (size_t)n);
}

static void open_file(struct floor *f)
{
    struct stat st;
    f->file = open(f->opt.file, O_RDONLY | O_CLOEXEC);
    if (f->file < 0 || fstat(f->file, &st) < 0)
        die(f->opt.file);
    f->file_bytes = (uint64_t)st.st_size;
}

static void watch(struct floor *f, int fd, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(f->epoll, operation, fd, &event) < 0)
        die("epoll_ctl");
}

static void open_listener(struct floor *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(f->opt.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, seconds = 10;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (f->listener < 0)
        die("socket");
    setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(f->listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited by accept */
    if (f->opt.defer)
        setsockopt(f->listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
    if (bind(f->listener, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind");
    if (listen(f->listener, 4096) < 0)
        die("listen");
    watch(f, f->listener, EPOLL_CTL_ADD, EPOLLIN);
}

/* Around head and file: full segments only. Measured against MSG_MORE on the head: 18 % less for 1
 * GB. */
static void cork(int fd, int on)
{
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

/* One system call towards an empty left[fd]; false when the connection is broken. */
static bool send_some(struct floor *f, int fd)
{
    ssize_t n;
    if (f->opt.file) {
        off_t offset = (off_t)(f->file_bytes - f->left[fd]);
        n = sendfile(fd, f->file, &offset, f->left[fd]);
    } else {
        n = send(fd, f->answers + f->answers_bytes - f->left[fd], f->left[fd], MSG_NOSIGNAL);
    }
    if (n >= 0)
        f->left[fd] -= (uint64_t)n;
    if (f->opt.file && !f->left[fd])
        cork(fd, 0);
    return n >= 0 || errno == EAGAIN;
}

/* Send the rest of an answer that the kernel had no room for. */
static void on_room(struct floor *f, int fd)
{
    if (!send_some(f, fd) || (!f->left[fd] && f->opt.close))
        close(fd);
    else if (!f->left[fd])
        watch(f, fd, EPOLL_CTL_MOD, EPOLLIN);
}

static size_t count_requests(const char *input, size_t n)
{
    size_t count = 0;
    const char *at = input;
    while ((at = memmem(at, n - (size_t)(at - input), "\r\n\r\n", 4))) {
        count++;
        at += 4;
    }
    return count < REPEAT ? count : REPEAT;
}

/* Begin the answer to [n] bytes of input; false when the connection is broken. */
static bool answer(struct floor *f, int fd, size_t n)
{
    if (f->opt.file) {
        cork(fd, 1);
        if (send(fd, f->answers, f->answer_bytes, MSG_NOSIGNAL) < 0)
            return false;
        f->left[fd] = f->file_bytes;
    } else {
        f->left[fd] = f->answer_bytes * (f->opt.pipeline ? count_requests(f->input, n) : 1);
    }
    return send_some(f, fd);
}

/* --echo: a peer that waits for each line always leaves room. */
static bool send_back(struct floor *f, int fd, size_t n)
{
    return send(fd, f->input, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* What became of one read. */
enum outcome { CLOSED, WAITS_FOR_INPUT, WAITS_FOR_ROOM };

static enum outcome serve(struct floor *f, int fd)
{
    ssize_t n = recv(fd, f->input, sizeof f->input, 0);
    if (n < 0 && errno == EAGAIN)
        return WAITS_FOR_INPUT;
    if (n > 0 && f->opt.echo && send_back(f, fd, (size_t)n))
        return WAITS_FOR_INPUT;
    if (n <= 0 || f->opt.echo || !answer(f, fd, (size_t)n) || (!f->left[fd] && f->opt.close)) {
        close(fd);
        return CLOSED;
    }
    return f->left[fd] ? WAITS_FOR_ROOM : WAITS_FOR_INPUT;
}

static void on_readable(struct floor *f, int fd)
{
    if (serve(f, fd) == WAITS_FOR_ROOM)
        watch(f, fd, EPOLL_CTL_MOD, EPOLLOUT);
}

static void on_connection(struct floor *f)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        f->left[fd] = 0;
        enum outcome outcome = f->opt.eager ? serve(f, fd) : WAITS_FOR_INPUT;
        if (outcome != CLOSED)
            watch(f, fd, EPOLL_CTL_ADD, outcome == WAITS_FOR_ROOM ? EPOLLOUT : EPOLLIN);
    }
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void run(struct floor *f)
{
    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int n = epoll_wait(f->epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == f->listener)
                on_connection(f);
            else if (f->left[fd])
                on_room(f, fd);
            else
                on_readable(f, fd);
        }
    }
}

int main(int argc, char **argv)
{
    struct floor *f = calloc(1, sizeof *f);
    if (!f)
        die("calloc");
    parse_options(&f->opt, argc, argv);
    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN); /* sendfile has no MSG_NOSIGNAL */
    if (f->opt.file)
        open_file(f);
    make_answer(f);
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (f->epoll < 0)
        die("epoll_create1");
    open_listener(f);
    run(f);
}
