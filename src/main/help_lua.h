/* help_lua: "medusa help lua": what scripts can use, as the program itself knows it. */
#ifndef MAIN_HELP_LUA_H
#define MAIN_HELP_LUA_H

/* Without words a table of all; with the name of a function, an object or a module what there is to
 * say of it; with
 * "--markdown" the whole reference (docs/lua-api.md). The exit status: 2 when there is no such
 * name. */
int help_lua(int count, char **words);

#endif
