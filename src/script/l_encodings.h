/* l_encodings: medusa.base64, medusa.hex, medusa.html and medusa.url, and what other bindings need
 * of them. */
#ifndef SCRIPT_L_ENCODINGS_H
#define SCRIPT_L_ENCODINGS_H

#include "script/l_api.h"

/* What is encoded or decoded in one call, on the loop (some ten milliseconds). */
#define ENCODE_MAX (16 * MIB)

/* The text at [at], within ENCODE_MAX. RAISES. */
slice l_check_encodable(lua_State *L, int at);

/* A name or value of a form or query, decoded, pushed. RAISES. */
void l_push_form_decoded(lua_State *L, slice encoded);

/* A table of the names and values in [query], pushed; of a name that is there several times the
 * last counts. RAISES. */
void l_push_query(lua_State *L, slice query);

extern const struct l_function l_encoding_functions[], l_url_functions[];
extern const size_t l_encoding_function_count, l_url_function_count;

#endif
