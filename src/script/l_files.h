/* l_files: trees of files in the hands of a script. */
#ifndef SCRIPT_L_FILES_H
#define SCRIPT_L_FILES_H

#include "script/l_api.h"
#include "script/tree.h"

/* The userdata. The version holds the tree for as long as its state lives. */
struct l_tree {
    struct tree *tree;
    bool can_write;
};

/* Pushes a handler that answers with the file [path] of the tree at [at]. RAISES, too when there is
 * no tree. */
void l_push_tree_file(lua_State *L, int at, slice path);

/* [path] as the tree wants it, pushed: with a "/" in front. RAISES. */
slice l_tree_path(lua_State *L, slice path);

/* The path at argument [at] as the tree at 1 wants it, kept on the stack. RAISES. */
slice l_tree_path_arg(lua_State *L, int at);

/* nil and a sentence that names what was asked for. RAISES. */
int l_tree_fail(lua_State *L, const char *path, int error);

/* tree:open (l_file.c). */
int l_tree_open(lua_State *L);
void l_open_file(lua_State *L);
extern const struct l_function l_file_methods[];
extern const size_t l_file_method_count;
extern const struct l_option l_file_close_options[];
extern const size_t l_file_close_option_count;

/* Methods that wait for the disk (l_file_ops.c). */
extern const struct l_function l_tree_methods[];
extern const size_t l_tree_method_count;

#endif
