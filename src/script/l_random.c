/* l_random: medusa.random: numbers and bytes that nobody can guess, from the kernel. */
#include "script/l_api.h"
#include "script/libs.h"

#include "wire/hex.h"

#include <errno.h>
#include <sys/random.h>

#define BYTES_MAX (1 * MIB)

static void fill(lua_State *L, void *to, size_t n)
{
    char *p = to;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno != EINTR)
            luaL_error(L, "the system gives no random bytes: %s", strerror(errno));
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
}

static size_t check_count(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= (lua_Integer)BYTES_MAX, 1,
                  "a number of bytes is expected, at most 1048576");
    return (size_t)n;
}

static int l_bytes(lua_State *L)
{
    size_t n = check_count(L);
    luaL_Buffer b;
    fill(L, luaL_buffinitsize(L, &b, n), n);
    luaL_pushresultsize(&b, n);
    return 1;
}

static int l_hex(lua_State *L)
{
    size_t n = check_count(L);
    char *bytes = lua_newuserdatauv(L, MAX(n, 1), 0);
    fill(L, bytes, n);
    luaL_Buffer b;
    struct fmt f = fmt_on(luaL_buffinitsize(L, &b, n * 2), n * 2);
    hex_put(slice_of(bytes, n), &f);
    luaL_pushresultsize(&b, n * 2);
    return 1;
}

/* Every number in 0 ... limit is as likely as any other: what would make some likelier is thrown
 * away. */
static uint64_t below_or_at(lua_State *L, uint64_t limit)
{
    uint64_t mask = limit, value;
    for (unsigned shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    do {
        fill(L, &value, sizeof value);
        value &= mask;
    } while (value > limit);
    return value;
}

static int l_number(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        uint64_t value;
        fill(L, &value, sizeof value);
        lua_pushnumber(L, (lua_Number)(value >> 11) * 0x1p-53);
        return 1;
    }
    lua_Integer first = luaL_checkinteger(L, 1), last = first;
    if (lua_isnoneornil(L, 2))
        first = 1;
    else
        last = luaL_checkinteger(L, 2);
    luaL_argcheck(L, first <= last, lua_isnoneornil(L, 2) ? 1 : 2,
                  "the last number is less than the first");
    lua_pushinteger(
        L, (lua_Integer)((uint64_t)first + below_or_at(L, (uint64_t)last - (uint64_t)first)));
    return 1;
}

const struct l_function l_random_functions[] = {
    {"medusa.random.bytes", l_bytes, "(count) -> bytes",
     "Bytes that nobody can guess, at most 1 MiB: for keys."},
    {"medusa.random.hex", l_hex, "(count) -> text",
     "The same in hexadecimal, two digits for each byte: for tokens (16 are enough)."},
    {"medusa.random.number", l_number, "([first], [last]) -> number",
     "A whole number from first to last, each as likely; with one argument from 1 to that; without "
     "any, a fraction from 0 up to 1."},
};
const size_t l_random_function_count = COUNT_OF(l_random_functions);

/* Lua's own generator begins with the time and an address: with something better. */
static void seed_math(lua_State *L)
{
    lua_Integer seed[2];
    fill(L, seed, sizeof seed);
    lua_getglobal(L, "math");
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, seed[0]);
    lua_pushinteger(L, seed[1]);
    lua_call(L, 2, 0);
    lua_pop(L, 1);
}

void l_open_random(lua_State *L)
{
    seed_math(L);
    lua_createtable(L, 0, COUNT_OF(l_random_functions));
    l_set_functions(L, l_random_functions, COUNT_OF(l_random_functions));
    lua_setfield(L, -2, "random");
}
