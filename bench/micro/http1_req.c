/* http1_req: nanoseconds per request head, the best of many rounds.
 *
 * Build and run from the root of the project:
 *     gcc -std=gnu17 -D_GNU_SOURCE -O3 -flto -Isrc bench/micro/http1_req.c
 * src/wire/{char_class,http_field,http1_req,uri}.c \ src/base/{slice,num,fmt}.c -o
 * /tmp/bench_http1_req && /tmp/bench_http1_req */
#include "wire/http1_req.h"

#define ROUNDS   50
#define REQUESTS 50000

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double one_round(slice in)
{
    static const struct http1_limits limits = {8000, 16000, 100};
    static struct http1_req req;
    const char *why;
    double start = now_ns();
    for (int i = 0; i < REQUESTS; i++) {
        size_t scanned = 0;
        if (http1_req_parse(in, &limits, &scanned, &req, &why) != (ssize_t)in.n)
            abort();
    }
    return (now_ns() - start) / REQUESTS;
}

static void bench(const char *name, slice in)
{
    double best = one_round(in);
    for (int i = 0; i < ROUNDS; i++) {
        double ns = one_round(in);
        best = MIN(best, ns);
    }
    printf("%-8s %4zu bytes %7.1f ns\n", name, in.n, best);
}

int main(void)
{
    bench("wrk", SLICE("GET /f1k.html HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
    bench("curl", SLICE("GET /f1k.html HTTP/1.1\r\nHost: localhost:8080\r\n"
                        "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"));
    bench(
        "browser",
        SLICE("GET /docs/manual/index.html?version=3&lang=en HTTP/1.1\r\n"
              "Host: www.example.com\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
              "Upgrade-Insecure-Requests: 1\r\n"
              "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
              "Chrome/124.0.0.0 Safari/537.36\r\n"
              "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
              "image/webp,*/*;q=0.8\r\n"
              "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n"
              "Accept-Encoding: gzip, deflate, br, zstd\r\n"
              "Accept-Language: en-US,en;q=0.9\r\n\r\n"));
    return 0;
}
