/* libs: the parts of the table medusa, and of Lua's own libraries, that a version is opened with.
 * Each function leaves the stack as it was and RAISES without memory. */
#ifndef SCRIPT_LIBS_H
#define SCRIPT_LIBS_H

#include <lua.h>

void l_open_coroutine(lua_State *L);
void l_open_base(lua_State *L); /* Lua's libraries, without what could harm the process */

/* Each expects the table medusa on the top of the stack and adds to it. */
void l_open_core(lua_State *L);      /* log, sleep, spawn, timers, include */
void l_open_process(lua_State *L);   /* medusa.memory, medusa.user ... */
void l_open_http(lua_State *L);      /* medusa.http: servers, requests, replies */
void l_open_upload(lua_State *L);    /* the files of forms */
void l_open_events(lua_State *L);    /* server-sent events */
void l_open_wrappers(lua_State *L);  /* medusa.http.basic_auth ...; after l_open_http */
void l_open_tcp(lua_State *L);       /* medusa.tcp */
void l_open_net(lua_State *L);       /* medusa.resolve, medusa.tcp.connect: after l_open_tcp */
void l_open_client(lua_State *L);    /* medusa.http.get and its kin: after l_open_http */
void l_open_udp(lua_State *L);       /* medusa.udp */
void l_open_json(lua_State *L);      /* medusa.json */
void l_open_unit(lua_State *L);      /* medusa.unit */
void l_open_shared(lua_State *L);    /* medusa.shared */
void l_open_encodings(lua_State *L); /* medusa.base64, .hex, .html, .url */
void l_open_hash(lua_State *L);      /* medusa.hash */
void l_open_random(lua_State *L);    /* medusa.random; seeds math.random */

void l_open_job(lua_State *L);     /* no functions: what others wait with */
void l_open_files(lua_State *L);   /* medusa.files, medusa.http.files */
void l_open_include(lua_State *L); /* medusa.include, require */
void l_open_work(lua_State *L);    /* medusa.work */
void l_open_sqlite(lua_State *L);  /* medusa.sqlite */

#endif
