/* l_query: req.query: the names and values behind the "?" of a request. */
#include "script/http_unit.h"

#include "script/l_encodings.h"

#include "wire/form.h"

/* Of a name that is there several times, the last counts. */
void l_push_query(lua_State *L, slice query)
{
    lua_createtable(L, 0, 4);
    for (struct form_pair pair; form_next(&query, &pair);) {
        l_push_form_decoded(L, pair.name);
        l_push_form_decoded(L, pair.value);
        lua_rawset(L, -3);
    }
}

int l_request_query_all(lua_State *L)
{
    struct l_request *r = l_check_request(L, 1);
    (void)l_check_slice(L, 2);
    slice query = r->ex->req->query;
    lua_settop(L, 2);
    lua_newtable(L);
    lua_Integer count = 0;
    for (struct form_pair pair; form_next(&query, &pair);) {
        l_push_form_decoded(L, pair.name);
        bool is_it = lua_rawequal(L, -1, 2);
        lua_pop(L, 1);
        if (!is_it)
            continue;
        l_push_form_decoded(L, pair.value);
        lua_rawseti(L, 3, ++count);
    }
    return 1;
}
