/* SPDX-License-Identifier: Apache-2.0 */
/* One run at a time in a folder of checkpoints: two would remove each other's. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file_writer.h"
#include "train/checkpoint.h"

/* The lock is of the open folder: it leaves no file, and is gone with the process that has it.
 * Where the file system has no locks, there is none. */
static bool is_locked(int descriptor)
{
    return descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

sqz_status sqzi_checkpoints_open(sqzi_checkpoints *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    struct stat facts;
    const char *folder = c->folder;
    c->lock = -1;
    FAIL_IF(strlen(folder) + 32 > SQZI_OUTPUT_PATH, SQZ_EOUTPUT, 0, "%.80s..: the name is too long",
            folder);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return sqzi_place_fail(folder, folder, errno, error);
    FAIL_IF(stat(folder, &facts) == 0 && !S_ISDIR(facts.st_mode), SQZ_EOUTPUT, 0,
            "%s: cannot write: it is no folder, as checkpoints need; name another", folder);
    if (access(folder, W_OK | X_OK) != 0) return sqzi_place_fail(folder, folder, errno, error);
    c->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FAIL_IF(is_locked(c->lock), SQZ_EOUTPUT, 0,
            "%s: cannot write: another run keeps its checkpoints there; name another folder",
            folder);
fail:
    if (status != SQZ_OK) sqzi_checkpoints_close(c);
    return status;
}

void sqzi_checkpoints_close(sqzi_checkpoints *c)
{
    if (c->lock >= 0) (void)close(c->lock);
    c->lock = -1;
}
