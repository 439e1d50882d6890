/* SPDX-License-Identifier: Apache-2.0 */
/* What `git clone` leaves in the place of a large file where git-lfs is not installed. */
#ifndef SQZI_LFS_POINTER_H
#define SQZI_LFS_POINTER_H

#include <stdbool.h>
#include <stddef.h>

#include <squeezebert/status.h>

/* Whether the bytes of a file are a Git LFS pointer: a few lines that begin with its version. */
bool sqzi_is_lfs_pointer(const void *data, size_t bytes);
/* SQZ_EFORMAT: the file `path` is a pointer, and what to do. */
sqz_status sqzi_lfs_pointer_fail(const char *path, sqz_error *error);

#endif
