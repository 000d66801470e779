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

/* Methods that wait for the disk (l_file_ops.c). */
extern const struct l_function l_tree_methods[];
extern const size_t l_tree_method_count;

#endif
