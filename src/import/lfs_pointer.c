/* SPDX-License-Identifier: Apache-2.0 */
#include "import/lfs_pointer.h"

#include <string.h>

#include "base/error.h"

/* The specification bounds a pointer; github.com/git-lfs/git-lfs, docs/spec.md. */
enum { LONGEST_POINTER = 1024 };

bool sqzi_is_lfs_pointer(const void *data, size_t bytes)
{
    static const char *const versions[] = {"version https://git-lfs.github.com/spec/",
                                           "version https://hawser.github.com/spec/"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        const size_t n = strlen(versions[i]);
        if (bytes > n && bytes < LONGEST_POINTER && memcmp(data, versions[i], n) == 0) return true;
    }
    return false;
}

sqz_status sqzi_lfs_pointer_fail(const char *path, sqz_error *error)
{
    return sqzi_fail(error, SQZ_EFORMAT, 0,
                     "%s is a Git LFS pointer, not the file that it stands for: install git-lfs "
                     "and run 'git lfs pull' in its folder, or download the file itself",
                     path);
}
