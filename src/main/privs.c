/* privs: from root to an ordinary user, checked. */
#include "main/privs.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

int privs_drop(const char *name)
{
    errno = 0;
    struct passwd *user = getpwnam(name);
    if (!user)
        return -ENOENT;
    if (geteuid() == user->pw_uid && user->pw_uid != 0)
        return 0;
    if (initgroups(name, user->pw_gid) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
        return -errno;
    if (user->pw_uid != 0 && setuid(0) == 0)
        return -EPERM; /* it could be taken back: then nothing was gained */
    return 0;
}
