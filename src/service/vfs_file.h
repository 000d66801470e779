/* vfs_file: an open file of a tree, read or written piece by piece by a program.
 *
 * One operation at a time; each runs on the worker lane of the file's mount. What is written in the
 * modes REPLACE and CREATE stands under another name until vfs_file_close keeps it: an upload that
 * breaks off leaves what was there. */
#ifndef SERVICE_VFS_FILE_H
#define SERVICE_VFS_FILE_H

#include "service/vfs.h"

struct vfs_file;

enum vfs_file_mode {
    VFS_FILE_READ,
    VFS_FILE_REPLACE, /* written anew */
    VFS_FILE_CREATE,  /* the same; -EEXIST when the name is there */
    VFS_FILE_APPEND,  /* made when it is not there */
};

/* Told when an operation is over; *data is what was read (empty: the end), valid until the next
 * operation. */
typedef void (*vfs_file_fn)(struct vfs_file *file, int error, slice data, void *owner);

/* Opens [path]; [done] is told in a later turn, of this and every other operation. After an error
 * only vfs_file_close may follow. NULL without memory. The tree must be there until the file is
 * closed and vfs_is_idle. */
MUST_USE struct vfs_file *vfs_file_open(struct vfs *vfs, slice path, enum vfs_file_mode mode,
                                        vfs_file_fn done, void *owner);

/* The next bytes, at most [n]. False without memory. */
MUST_USE bool vfs_file_read(struct vfs_file *file, size_t n);

/* All of [data], which is copied. False without memory. */
MUST_USE bool vfs_file_write(struct vfs_file *file, slice data);

/* Ends it and frees it: [keep] (unless a write failed): what was written gets its name; else it is
 * given up (what was appended is there already). done is told, and the file is gone after that. */
void vfs_file_close(struct vfs_file *file, bool keep, bool sync);

/* The same without keeping anything; also while an operation is under way. done is not told any
 * more. */
void vfs_file_drop(struct vfs_file *file);

#endif
