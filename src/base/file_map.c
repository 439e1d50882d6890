/* SPDX-License-Identifier: Apache-2.0 */
/* Files mapped for reading. file_map_read.c takes its place where there are no maps. */
#define _DEFAULT_SOURCE
#include "base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* Is it a link to what is not there? Its target is for people, cut where it is long. */
static bool broken_link(const char *path, char *target, size_t n)
{
    struct stat facts;
    const ssize_t length = readlink(path, target, n - 1);
    if (length < 0 || stat(path, &facts) == 0 || errno != ENOENT) return false;
    target[length] = '\0';
    return true;
}

sqz_status sqzi_file_map_open(const char *path, sqzi_file_map *map, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    struct stat facts;
    char target[256];
    *map = (sqzi_file_map){NULL, 0};
    /* a FIFO must not make us wait */
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const int reason = errno;
    FAIL_IF(file < 0 && broken_link(path, target, sizeof target), SQZ_EIO, 0,
            "%s: cannot open: it is a link to '%s', which is not there (cp -rL copies a folder of "
            "links with what they lead to)",
            path, target);
    FAIL_IF(file < 0, sqz_status_of_errno(reason, 0), 0, "%s: cannot open: %s", path,
            strerror(reason));
    FAIL_IF(fstat(file, &facts) != 0, SQZ_EIO, 0, "%s: %s", path, strerror(errno));
    FAIL_IF(!S_ISREG(facts.st_mode), SQZ_EIO, 0, "%s: %s, a file was expected", path,
            S_ISDIR(facts.st_mode) ? "a folder" : "not a regular file");
    FAIL_IF((uintmax_t)facts.st_size > SIZE_MAX, SQZ_ELIMIT, 0,
            "%s: larger than this machine's address space", path);
    if (facts.st_size > 0) {
        void *data = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        FAIL_IF(data == MAP_FAILED, sqz_status_of_errno(errno, 0), 0, "%s: cannot map: %s",
                path, strerror(errno));
        *map = (sqzi_file_map){data, (size_t)facts.st_size};
    }
fail:
    if (file >= 0) close(file);
    return status;
}

void sqzi_file_map_close(sqzi_file_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->bytes);
    *map = (sqzi_file_map){NULL, 0};
}

void sqzi_file_map_drop(const sqzi_file_map *map, size_t offset, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t first = (offset + page - 1) / page * page;
    const size_t last = (offset + bytes) / page * page;
    if (map->data && first < last && last <= map->bytes)
        (void)madvise((void *)(uintptr_t)(map->data + first), last - first, MADV_DONTNEED);
}
