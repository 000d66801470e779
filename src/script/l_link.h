/* l_link: what stands between a userdata and the C object that it is the handle of.
 *
 * Neither may point at the other directly. C objects end when they like; and Lua may free a
 * userdata without having called its
 * __gc: when there is no memory for that call (a script can bring that about), the error is
 * swallowed. So both point at a link, which is C memory: the object cuts it when it goes, the
 * userdata drops it when it is collected, and what a lost finalizer leaves behind is freed with the
 * version.
 *
 *     userdata --link--> struct l_link <--link-- C object
 */
#ifndef SCRIPT_L_LINK_H
#define SCRIPT_L_LINK_H

#include "script/unit.h"

struct l_link {
    void *object; /* NULL: it is gone, or the userdata is */
    /* private */
    struct list_node node; /* in version->links */
    struct version *version;
    uint8_t holders;
};

/* A link to [object], held by both sides: the userdata keeps it in its first member. RAISES without
 * memory. */
struct l_link *l_link_new(lua_State *L, void *object);

/* The C object goes, or wants to hear nothing more: the userdata finds NULL from now on. NULL is
 * accepted; *link is nulled. */
void l_link_cut(struct l_link **link);

/* In __gc: the userdata goes. Returns the object, if it is still there, for what is to be done
 * about it (its own pointer to the link is valid until it cuts it). */
void *l_link_drop(struct l_link **link);

/* What the first member of the userdata [p] leads to, or NULL. */
static inline void *l_link_object(const void *p)
{
    struct l_link *link = *(struct l_link *const *)p;
    return link ? link->object : NULL;
}

/* Those that are left when the version's state has been closed. */
void l_link_free_all(struct version *v);

#endif
