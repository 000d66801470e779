/* l_hash: medusa.hash: digests by OpenSSL's libcrypto.
 *
 * A long text is digested in pieces, one in a turn of the loop: so nothing is copied, and nobody
 * else waits. */
#include "script/l_api.h"
#include "script/l_task.h"
#include "script/libs.h"

#include "loop/loop.h"
#include "wire/hex.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define PIECE (1 * MIB) /* some milliseconds at most */

struct l_hash {
    EVP_MD_CTX *md;
    EVP_MAC_CTX *mac; /* or this one, with a key */
    bool is_busy;     /* a task is at a long text */
};

/* ---- Objects ---- */

static void drop(struct l_hash *h)
{
    EVP_MD_CTX_free(h->md);
    EVP_MAC_CTX_free(h->mac);
    h->md = NULL;
    h->mac = NULL;
}

static int collect(lua_State *L)
{
    drop(lua_touserdata(L, 1));
    return 0;
}

static const EVP_MD *check_name(lua_State *L, int at)
{
    static const char *const names[] = {"sha256", "sha512", "sha384", "sha1", "md5", NULL};
    const EVP_MD *const kinds[] = {EVP_sha256(), EVP_sha512(), EVP_sha384(), EVP_sha1(), EVP_md5()};
    return kinds[luaL_checkoption(L, at, NULL, names)];
}

static bool init_mac(struct l_hash *h, const EVP_MD *kind, slice key)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    h->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the other one holds it */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)EVP_MD_get0_name(kind), 0),
        OSSL_PARAM_END};
    return h->mac &&
           EVP_MAC_init(h->mac, (const unsigned char *)(key.n ? key.p : ""), key.n, params);
}

static bool init_md(struct l_hash *h, const EVP_MD *kind)
{
    h->md = EVP_MD_CTX_new();
    return h->md && EVP_DigestInit_ex(h->md, kind, NULL);
}

/* Leaves the object on the stack. [key].p is NULL for a digest without. */
static void push_hash(lua_State *L, const EVP_MD *kind, slice key)
{
    struct l_hash *h = l_new_object(L, META_HASH, sizeof *h, 0);
    if (!(key.p ? init_mac(h, kind, key) : init_md(h, kind)))
        luaL_error(L, "this digest is not available, or there is not enough memory");
}

static struct l_hash *check_hash(lua_State *L)
{
    struct l_hash *h = l_check_object(L, 1, META_HASH, "hash");
    if (h->is_busy)
        luaL_error(L, "another task is adding to this hash");
    if (!h->md && !h->mac)
        luaL_error(L, "this hash has given its digest already");
    return h;
}

/* ---- Digesting ---- */

static void add(lua_State *L, struct l_hash *h, slice piece)
{
    const unsigned char *p = (const unsigned char *)piece.p;
    if (!(h->mac ? EVP_MAC_update(h->mac, p, piece.n) : EVP_DigestUpdate(h->md, p, piece.n)))
        luaL_error(L, "the digest failed");
}

static int push_digest(lua_State *L, struct l_hash *h, bool is_raw)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[EVP_MAX_MD_SIZE * 2];
    size_t n = 0;
    unsigned md_n = 0;
    bool ok = h->mac ? EVP_MAC_final(h->mac, digest, &n, sizeof digest)
                     : EVP_DigestFinal_ex(h->md, digest, &md_n);
    drop(h);
    if (!ok)
        return luaL_error(L, "the digest failed");
    slice bytes = slice_of(digest, n + md_n);
    struct fmt f = fmt_on(text, sizeof text);
    hex_put(bytes, &f);
    l_push_slice(L, is_raw ? bytes : fmt_done(&f));
    return 1;
}

/* Stack: the hash (1), the text (2), and at 3 nil (more may follow) or whether the digest is wanted
 * raw. */
static int feed(lua_State *L, int status, lua_KContext from)
{
    struct l_hash *h = lua_touserdata(L, 1);
    slice rest = slice_skip(l_check_slice(L, 2), (size_t)from);
    h->is_busy = false;
    add(L, h, slice_head(rest, PIECE));
    if (rest.n > PIECE) {
        l_task_check_wait(L, "digesting more than 1 MiB");
        h->is_busy = true;
        return l_task_wait_until(L, loop_now_ms(version_of(L)->host->loop), NULL, NULL, feed,
                                 from + (lua_KContext)PIECE);
    }
    if (!lua_isnil(L, 3))
        return push_digest(L, h, lua_toboolean(L, 3));
    lua_settop(L, 1);
    return 1;
}

/* Stack: text (1), raw (2). */
static int digest(lua_State *L, const EVP_MD *kind, slice key)
{
    push_hash(L, kind, key);
    lua_insert(L, 1);
    lua_settop(L, 3);
    lua_pushboolean(L, lua_toboolean(L, 3));
    lua_replace(L, 3);
    return feed(L, LUA_OK, 0);
}

static int digest_plain(lua_State *L, const EVP_MD *kind)
{
    (void)l_check_slice(L, 1);
    lua_settop(L, 2);
    return digest(L, kind, slice_of(NULL, 0));
}

static int l_sha256(lua_State *L)
{
    return digest_plain(L, EVP_sha256());
}

static int l_sha512(lua_State *L)
{
    return digest_plain(L, EVP_sha512());
}

static int l_sha1(lua_State *L)
{
    return digest_plain(L, EVP_sha1());
}

static int l_md5(lua_State *L)
{
    return digest_plain(L, EVP_md5());
}

static int l_hmac(lua_State *L)
{
    const EVP_MD *kind = check_name(L, 1);
    slice key = l_check_slice(L, 2);
    (void)l_check_slice(L, 3);
    lua_settop(L, 4);
    push_hash(L, kind, key);
    lua_replace(L, 1);
    lua_remove(L, 2);
    lua_pushboolean(L, lua_toboolean(L, 3));
    lua_replace(L, 3);
    return feed(L, LUA_OK, 0);
}

/* ---- Piece by piece ---- */

static int l_new(lua_State *L)
{
    const EVP_MD *kind = check_name(L, 1);
    push_hash(L, kind, l_opt_slice(L, 2));
    return 1;
}

static int l_update(lua_State *L)
{
    (void)check_hash(L);
    (void)l_check_slice(L, 2);
    lua_settop(L, 2);
    lua_pushnil(L);
    return feed(L, LUA_OK, 0);
}

static int l_digest(lua_State *L)
{
    struct l_hash *h = check_hash(L);
    return push_digest(L, h, lua_toboolean(L, 2));
}

/* Equal lengths are told by the time it takes, nothing else. */
static int l_equal(lua_State *L)
{
    slice a = l_check_slice(L, 1), b = l_check_slice(L, 2);
    lua_pushboolean(L, a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0);
    return 1;
}

/* ---- Rows ---- */

const struct l_function l_hash_functions[] = {
    {"medusa.hash.sha256", l_sha256, "(text, [raw]) -> digest",
     "In hexadecimal, or as 32 bytes when raw is true. A text of more than 1 MiB is digested in "
     "pieces, while others go on.",
     true},
    {"medusa.hash.sha512", l_sha512, "(text, [raw]) -> digest", "The same with 64 bytes.", true},
    {"medusa.hash.sha1", l_sha1, "(text, [raw]) -> digest", "For old protocols: it can be forged.",
     true},
    {"medusa.hash.md5", l_md5, "(text, [raw]) -> digest", "For old protocols: it can be forged.",
     true},
    {"medusa.hash.hmac", l_hmac, "(name, key, text, [raw]) -> digest",
     "A digest that only who knows the key can make: \"sha256\", \"sha512\", \"sha384\", \"sha1\" "
     "or \"md5\". Compare with medusa.hash.equal.",
     true},
    {"medusa.hash.new", l_new, "(name, [key]) -> hash",
     "For a text that comes in pieces; with a key as medusa.hash.hmac."},
    {"medusa.hash.equal", l_equal, "(a, b) -> boolean",
     "Are they equal? The time it takes does not depend on where they differ: for passwords, "
     "tokens and digests."},
};
const size_t l_hash_function_count = COUNT_OF(l_hash_functions);

const struct l_function l_hash_methods[] = {
    {"hash:update", l_update, "(text) -> hash", "Adds a piece.", true},
    {"hash:digest", l_digest, "([raw]) -> digest",
     "Of all pieces together. The hash is used up then."},
};
const size_t l_hash_method_count = COUNT_OF(l_hash_methods);

void l_open_hash(lua_State *L)
{
    const struct l_class class = {.meta = META_HASH,
                                  .name = "hash",
                                  .methods = l_hash_methods,
                                  .count = COUNT_OF(l_hash_methods),
                                  .gc = collect};
    l_make_meta(L, &class);
    lua_createtable(L, 0, COUNT_OF(l_hash_functions));
    l_set_functions(L, l_hash_functions, COUNT_OF(l_hash_functions));
    lua_setfield(L, -2, "hash");
}
