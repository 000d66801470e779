/* Scripts in a loop of a test: loads that fail at every allocation, requests that do, reloads by
 * the hundred. What can be shown from outside is in tests/talk/test_script_*.py. */
#include "test_kinds.h"

#include "script/declare.h"
#include "script/http_unit.h"
#include "script/unit.h"
#include "wire/mime.h"

#include <unistd.h>

#define SCRIPT                                                                                     \
    "local t = {}\n"                                                                               \
    "for i = 1, 50 do t[i] = ('x'):rep(i) end\n"                                                   \
    "local function slow() medusa.sleep(0.001) return 'slow' end\n"                                \
    "medusa.every(0.01, function() t[1] = nil end)\n"                                              \
    "local s, db = medusa.shared, medusa.sqlite ':memory:'\n"                                      \
    "s.subscribe('c*', function(m) s.set('got', m) end)\n"                                         \
    "medusa.http.server { listen = '127.0.0.1:0', routes = {\n"                                    \
    "  ['/shared'] = function(req) local sub <close> = s.listen 'c' s.set('k', {1, {a = 'b', c = " \
    "{}}}, {ttl = 9}) s.incr 'n' s.push('l', 'long enough') \n"                                    \
    "    s.publish('c', s.get 'k') sub:next(0.001) medusa.sleep(0) s.swap('k', {1}, 2) s.pop 'l' " \
    "for k in s.keys() do s.get(k) end s.clear 'k' return 'shared' end,\n"                         \
    "  ['/sqlite'] = function(req) return db:transaction(function(tx) return tx:value('select "    \
    "?', medusa.sqlite.blob 'x') .. #tx:query('select :a as a, 2 as b', {a = 'y'}) end) end,\n"    \
    "  ['/'] = function(req) return 'hello ' .. req.method .. #t end,\n"                           \
    "  ['/slow'] = function(req) local ok, s = pcall(slow) return s end,\n"                        \
    "  ['/echo/:a/:b'] = function(req) return req.params.a .. (req:body() or '') .. "              \
    "req.headers.host end,\n"                                                                      \
    "  ['/json'] = function(req) return {json = {a = 1, b = {1, 2, {c = req.peer}}}, headers = "   \
    "{X = {'1', '2'}}} end,\n"                                                                     \
    "  ['/stream'] = function(req) for i = 1, 20 do req:write(i, ' ') end end,\n"                  \
    "  ['/wrap'] = function() for i in coroutine.wrap(function() medusa.sleep(0.001) "             \
    "coroutine.yield(1) end) do return 'w' .. i end end,\n"                                        \
    "  ['/fail'] = function() error 'no' end,\n"                                                   \
    "} }\n"                                                                                        \
    "medusa.tcp.server { listen = '127.0.0.1:0', handle = function(conn)\n"                        \
    "  for line in conn:lines() do conn:write(line:upper(), '\\n') end end }\n"

static const char requests[] =
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    "POST /echo/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    "GET /json HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /wrap HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /shared HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /sqlite HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /fail HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /none HTTP/1.1\r\nHost: x\r\n\r\n";

/* The same with what waits for workers: files, and work. */
#define FILES_SCRIPT                                                                               \
    "local root = os.getenv 'MEDUSA_SOURCE' or '.'\n"                                              \
    "local tree = medusa.files(root .. '/tests/unit')\n"                                           \
    "local scratch = medusa.files('/tmp', {write = true})\n"                                       \
    "local files = medusa.http.files(tree, {listing = true, max_age = 10, headers = {X = 'y'}})\n" \
    "medusa.http.server { listen = '127.0.0.1:0', routes = {\n"                                    \
    "  ['/'] = function(req) return 'hello' end,\n"                                                \
    "  ['/f/'] = files,\n"                                                                         \
    "  ['/fn/'] = function(req) return files(req) end,\n"                                          \
    "  ['/file'] = function(req) return {file = 'meson.build', tree = tree} end,\n"                \
    "  ['/read'] = function(req) return (tree:read('meson.build')) .. tree:stat('/').kind end,\n"  \
    "  ['/list'] = function(req) return tostring(#tree:list()) end,\n"                             \
    "  ['/write'] = function(req)\n"                                                               \
    "    return tostring(scratch:write('medusa-test-sweep', 'x')) .. "                             \
    "tostring(scratch:remove('medusa-test-sweep')) end,\n"                                         \
    "  ['/work'] = function(req) return {json = {medusa.work(function(t) return t[1], t end, "     \
    "{'a', {1}})}} end,\n"                                                                         \
    "} }\n"                                                                                        \
    "medusa.tcp.server { listen = '127.0.0.1:0', handle = function(conn)\n"                        \
    "  for line in conn:lines() do conn:write(line:upper(), tostring(tree:stat('/')), '\\n') end " \
    "end }\n"

static const char file_requests[] = "GET /f/meson.build HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /f/ HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /fn/vfs_rig.h HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /file HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /read HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /list HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /write HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /work HTTP/1.1\r\nHost: x\r\n\r\n";

/* The same with forms, files that come with them, and streams of events. */
#define FORMS_SCRIPT                                                                            \
    "medusa.http.server { listen = '127.0.0.1:0', routes = {\n"                                 \
    "  ['/'] = function(req) return 'hello' end,\n"                                             \
    "  ['/form'] = function(req) local form = assert(req:form()) return form.a end,\n"          \
    "  ['/file'] = function(req) return tostring(assert(req:form{uploads = '/tmp'}).f.size) "   \
    "end,\n"                                                                                    \
    "  ['/lists'] = function(req) return {json = req:form{lists = true}.a} end,\n"              \
    "  ['/query'] = function(req) return {json = {req.query, req.cookies, req:query_all 'a'}, " \
    "cookies = {a = {value = 'b', max_age = 1}}} end,\n"                                        \
    "  ['/codes'] = function(req) return medusa.hash.sha256('x') .. medusa.hash.hmac('sha1', "  \
    "'k', 'x') .. medusa.url.build_query{a = {1, 2}} ..\n"                                      \
    "    medusa.html.escape(medusa.random.hex(8)) .. medusa.base64.encode 'x' .. "              \
    "medusa.url.parse('http://x/?a=b').query.a end,\n"                                          \
    "  ['/events'] = function(req)\n"                                                           \
    "    local events = req:events()\n"                                                         \
    "    events:send{data = {1}, id = 2, event = 'x'} events:comment 'c' events:close()\n"      \
    "    events:wait() end,\n"                                                                  \
    "} }\n"                                                                                     \
    "medusa.tcp.server { listen = '127.0.0.1:0', handle = function(conn)\n"                     \
    "  for line in conn:lines() do conn:write(line:upper(), '\\n') end end }\n"

#define MULTIPART                                                                               \
    " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: " \
    "145\r\n\r\n"                                                                               \
    "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"                            \
    "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"g\"\r\nContent-Type: "       \
    "x/y\r\n\r\n22\r\n--b--\r\n"

static const char form_requests[] =
    "POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 8\r\n\r\na=%41&b="
    "POST /form" MULTIPART "POST /file" MULTIPART "POST /lists" MULTIPART
    "GET /query?a=1&b=2&a=%20 HTTP/1.1\r\nHost: x\r\nCookie: a=1; b=2\r\n\r\n"
    "GET /codes HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/* The same with the wrappers, which are loaded when they are first used. */
#define WRAPPED_SCRIPT                                                                            \
    "local http, function_first = medusa.http, function(req) return 'hello' .. (req.user or '') " \
    "end\n"                                                                                       \
    "local auth = http.basic_auth{realm = 'r', users = {a = 'b'}}\n"                              \
    "medusa.http.server { listen = '127.0.0.1:0', routes = {\n"                                   \
    "  ['/'] = function_first,\n"                                                                 \
    "  ['/auth'] = http.headers{X = {'1', '2'}}(auth(http.logged(function_first))),\n"            \
    "  ['/limit'] = http.rate_limit{rate = 1, per = '1h', burst = 2, keys = 4}(auth{GET = 'x', "  \
    "POST = function_first}),\n"                                                                  \
    "  ['/old/'] = http.redirect '/new/*',\n"                                                     \
    "  ['/hosts'] = http.vhosts{['a.b'] = 'c', ['*.x'] = 'd', ['*'] = function_first},\n"         \
    "} }\n"                                                                                       \
    "medusa.tcp.server { listen = '127.0.0.1:0', handle = function(conn)\n"                       \
    "  for line in conn:lines() do conn:write(line:upper(), '\\n') end end }\n"

static const char wrapped_requests[] =
    "GET /auth HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n\r\n"
    "GET /auth HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTph\r\n\r\n"
    "GET /limit HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n\r\n"
    "GET /limit HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /limit HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /old/a%20b?c HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /hosts HTTP/1.1\r\nHost: y.x:80\r\n\r\n"
    "GET /hosts HTTP/1.1\r\nHost: z\r\n\r\n"
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

static const struct subject {
    slice script;
    const char *requests;
    int reloads;
} subjects[] = {{SLICE(SCRIPT), requests, 200},
                {SLICE(FILES_SCRIPT), file_requests, 50},
                {SLICE(FORMS_SCRIPT), form_requests, 50},
                {SLICE(WRAPPED_SCRIPT), wrapped_requests, 50}};

struct rig {
    const struct subject *subject;
    struct mem_owner owner;
    struct mime_table *mime;
    struct test_net *net;
    struct io io;
    struct host host;
    struct unit *unit;
    struct log quiet;
    char error[UNIT_ERROR_MAX];
    unsigned ended;
    uint64_t fail_at; /* of a sweep: for messages */
};

static void rig_begin(struct rig *r, const struct subject *subject)
{
    *r = (struct rig){.net = net_new(NET_EPOLL_UNIX, 0), .subject = subject};
    mem_owner_init(&r->owner, &r->net->book, "test");
    r->mime = mime_new(&r->owner);
    assert_non_null(r->mime);
    io_init(&r->io, r->net->loop, &r->net->book);
    r->host = (struct host){.io = &r->io,
                            .book = &r->net->book,
                            .log = &r->quiet,
                            .mime = r->mime,
                            .max_sessions = 100};
    assert_int_equal(host_init(&r->host), 0);
    struct unit_limits limits;
    unit_limits_default(&limits);
    r->unit = unit_new(&r->host, SLICE("test"), SLICE(""), &limits);
    assert_non_null(r->unit);
}

static bool is_empty(void *arg)
{
    return host_is_empty(&((struct rig *)arg)->host);
}

static void rig_end(struct rig *r)
{
    r->net->book.fail_at = 0;
    host_stop(&r->host);
    assert_true(net_until(r->net, is_empty, r));
    host_fini(&r->host);
    net_turn(r->net);
    io_fini(&r->io);
    mime_free(&r->mime);
    mem_owner_fini(&r->owner);
    net_free(&r->net);
}

static void on_loaded(struct unit *unit, const char *error, void *owner)
{
    struct rig *r = owner;
    r->error[0] = 0;
    if (error)
        (void)snprintf(r->error, sizeof r->error, "%s", error);
    r->ended++;
}

static bool has_ended(void *arg)
{
    return ((struct rig *)arg)->ended > 0;
}

/* True: it is loaded. */
static bool load(struct rig *r, slice text)
{
    r->ended = 0;
    if (!unit_load_text(r->unit, text, on_loaded, r))
        return false;
    assert_true(net_until(r->net, has_ended, r));
    assert_int_equal(r->ended, 1);
    return !r->error[0];
}

static struct server *server_at(struct rig *r, unsigned n)
{
    LIST_EACH (node, &r->unit->servers)
        if (n-- == 0) {
            struct live *l = CONTAINER_OF(node, struct live, link);
            return l->kind->server(l);
        }
    fail();
    return NULL;
}

static struct test_peer *rig_connect(struct rig *r, unsigned n)
{
    int fd;
    struct test_peer *peer = net_peer(r->net, &fd);
    struct peer_addr who = {.family = 4, .ip = {127, 0, 0, 1}};
    if (!server_adopt(server_at(r, n), fd, &who, false))
        peer_close(peer);
    return peer;
}

static unsigned count_of(slice text, const char *word)
{
    unsigned n = 0;
    for (const char *p; text.n && (p = memmem(text.p, text.n, word, strlen(word))); n++)
        text = slice_skip(text, (size_t)(p - text.p) + 1);
    return n;
}

static unsigned heads_in(const char *text)
{
    return count_of(slice_str(text), " HTTP/1.1\r\n");
}

struct answers {
    struct test_peer *peer;
    unsigned wanted;
};

static bool are_there(void *arg)
{
    struct answers *a = arg;
    return peer_has_ended(a->peer) || count_of(peer_received(a->peer), "HTTP/1.1 ") >= a->wanted;
}

/* [word], if not NULL, is in the answers when nothing fails. */
static void ask_for(struct rig *r, const char *text, unsigned answers, const char *word)
{
    struct answers a = {.peer = rig_connect(r, 0), .wanted = answers};
    peer_send(a.peer, slice_str(text));
    if (!net_until(r->net, are_there, &a))
        fail_msg("no answer when allocation %llu fails; before that: %.*s",
                 (unsigned long long)r->fail_at, SLICE_ARGS(peer_received(a.peer)));
    if (r->net->book.refused == 0)
        assert_int_equal(count_of(peer_received(a.peer), "HTTP/1.1 "), answers);
    if (r->net->book.refused == 0 && word && !count_of(peer_received(a.peer), word))
        fail_msg("no %s in %.*s", word, SLICE_ARGS(peer_received(a.peer)));
    peer_free(&a.peer);
}

static void ask(struct rig *r, const char *text, unsigned answers)
{
    ask_for(r, text, answers, NULL);
}

static void ask_line(struct rig *r)
{
    struct answers a = {.peer = rig_connect(r, 1), .wanted = 1};
    peer_send(a.peer, SLICE("hello\nHTTP/1.1 \n"));
    assert_true(net_until(r->net, are_there, &a));
    peer_free(&a.peer);
}

static void check_requests_of(const struct subject *subject)
{
    struct rig r;
    rig_begin(&r, subject);
    assert_true(load(&r, subject->script));
    ask(&r, subject->requests, heads_in(subject->requests));
    ask_line(&r);
    rig_end(&r);
}

#ifdef __SANITIZE_THREAD__
#define RELOADS_MAX 20 /* see main */
#else
#define RELOADS_MAX 1000
#endif

static void check_reloads_of(const struct subject *subject)
{
    struct rig r;
    rig_begin(&r, subject);
    size_t after_ten = 0;
    for (int i = 0; i < MIN(subject->reloads, RELOADS_MAX); i++) {
        assert_true(load(&r, subject->script));
        ask(&r, subject->requests, heads_in(subject->requests));
        assert_false(load(&r, SLICE("error 'no'")));
        net_turn(r.net);
        net_turn(r.net);
        if (i == 10)
            after_ten = r.net->book.bytes;
    }
    assert_true(r.net->book.bytes <= after_ten + 64 * KIB);
    rig_end(&r);
}

/* Every allocation of a load fails in turn: nothing is loaded then, or all; the version that was
 * there goes on. */
static void sweep_load(const struct subject *subject, bool forever)
{
    struct rig r;
    rig_begin(&r, subject);
    assert_true(load(&r, subject->script));
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        assert_true(n < 20000);
        r.net->book.refused = 0;
        r.net->book.fail_at = r.fail_at = n;
        r.net->book.fail_forever = forever;
        bool loaded = load(&r, subject->script);
        failed = r.net->book.refused > 0;
        r.net->book.fail_at = 0;
        r.net->book.refused = 0;
        assert_true(loaded || failed);
        assert_non_null(r.unit->current);
        if (n % 16 == 0 || !failed)
            ask(&r, subject->requests, heads_in(subject->requests));
    }
    rig_end(&r);
}

static void test_load_without_memory(void **state)
{
    for (size_t i = 0; i < COUNT_OF(subjects); i++) {
        sweep_load(&subjects[i], false);
        sweep_load(&subjects[i], true);
    }
}

static void sweep_requests(const struct subject *subject, bool forever)
{
    struct rig r;
    rig_begin(&r, subject);
    assert_true(load(&r, subject->script));
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        assert_true(n < 2000);
        r.net->book.refused = 0;
        r.net->book.fail_at = r.fail_at = n;
        r.net->book.fail_forever = forever;
        ask(&r, subject->requests, heads_in(subject->requests));
        failed = r.net->book.refused > 0;
        r.net->book.fail_at = r.fail_at = n;
        ask_line(&r);
        r.net->book.fail_at = 0;
        r.net->book.refused = 0;
        ask(&r, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1);
    }
    rig_end(&r);
}

static void test_requests_without_memory(void **state)
{
    for (size_t i = 0; i < COUNT_OF(subjects); i++) {
        sweep_requests(&subjects[i], false);
        sweep_requests(&subjects[i], true);
    }
}

static void test_requests(void **state)
{
    for (size_t i = 0; i < COUNT_OF(subjects); i++)
        check_requests_of(&subjects[i]);
}

static void test_reloads(void **state)
{
    for (size_t i = 0; i < COUNT_OF(subjects); i++)
        check_reloads_of(&subjects[i]);
}

/* ---- The network: the script speaks with itself ---- */

#define NET_SCRIPT                                                                                 \
    "local function all()\n"                                                                       \
    "  local u = assert(medusa.udp.open{listen = '127.0.0.1:0'})\n"                                \
    "  assert(u:send('x', u:address())) u:receive(0.2)\n"                                          \
    "  assert(u:send('y', 'localhost', 9)) u:close()\n"                                            \
    "  assert(medusa.resolve('::1'))\n"                                                            \
    "  local c <close> = assert(medusa.tcp.connect('unix:%1$s', {timeout = 0.5}))\n"               \
    "  assert(c:write('GET /x HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')) "        \
    "c:shutdown()\n"                                                                               \
    "  assert(c:pipe_to(assert(medusa.tcp.connect('unix:%1$s'))))\n"                               \
    "  assert(medusa.http.get('unix:%1$s:/x', {timeout = 0.5}))\n"                                 \
    "  assert(medusa.http.request{url = 'unix:%1$s:/e', method = 'POST', json = {1}, timeout = "   \
    "0.5})\n"                                                                                      \
    "  local r <close> = assert(medusa.http.open{url = 'unix:%1$s:/x', timeout = 0.5})\n"          \
    "  while r:read() do end\n"                                                                    \
    "  assert(medusa.http.request{url = 'unix:%1$s:/p/e', method = 'POST', body = 'b', timeout = " \
    "0.5})\n"                                                                                      \
    "  medusa.tcp.connect('unix:/nowhere/x') medusa.http.get('unix:/nowhere/x:/')\n"               \
    "end\n"                                                                                        \
    "medusa.http.server { listen = 'unix:%1$s', routes = {\n"                                      \
    "  ['/net'] = function() local ok, why = pcall(all) return ok and 'all' or why end,\n"         \
    "  ['/p/*rest'] = medusa.http.proxy('unix:%1$s:/x'), ['/x/*rest'] = function(req) return "     \
    "req:body() end,\n"                                                                            \
    "  ['/x'] = function(req) return 'x' end, ['/e'] = function(req) return req:body() end } }\n"  \
    "medusa.udp.server { listen = '127.0.0.1:0', on_datagram = print }\n"

static void sweep_net(bool forever)
{
    struct rig r;
    char path[64], text[4096];
    rig_begin(&r, &subjects[0]);
    (void)snprintf(path, sizeof path, "/tmp/medusa-test-script-%d", (int)getpid());
    (void)snprintf(text, sizeof text, NET_SCRIPT, path);
    bool failed = true;
    for (uint64_t n = 0; failed; n++) {
        assert_true(n < 2000);
        assert_true(n % 100 || load(&r, slice_str(text)));
        r.net->book.refused = 0;
        r.net->book.fail_at = r.fail_at = n;
        r.net->book.fail_forever = forever;
        ask_for(&r, "GET /net HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, "\r\n\r\nall");
        failed = r.net->book.refused > 0 || n == 0;
        r.net->book.fail_at = 0;
        r.net->book.refused = 0;
    }
    rig_end(&r);
    (void)unlink(path);
}

static void test_net_without_memory(void **state)
{
    sweep_net(false);
    sweep_net(true);
}

/* Under ThreadSanitizer each thread that ends leaves the shadow of its stack behind, and the sweeps
 * make thousands of threads: they run in the other builds. What threads do is in the first two. */
int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_reloads),
#ifndef __SANITIZE_THREAD__
        cmocka_unit_test(test_load_without_memory),
        cmocka_unit_test(test_requests_without_memory),
        cmocka_unit_test(test_net_without_memory),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
