/* store_journal: nothing is kept on disk yet. */
#include "service/store_parts.h"
void store_journal_note(struct store_journal *j, const struct store_change *c)
{
}
bool store_journal_wants(const struct store_journal *j, slice key)
{
    return false;
}
void store_journal_close(struct store_journal *j, void (*then)(struct store *s))
{
}
