/* SPDX-License-Identifier: Apache-2.0 */
/* Files read whole into memory, for systems without maps of files (WebAssembly). Takes the place of
 * file_map.c. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file_map.h"
#include "base/memory.h"

static sqz_status read_all(FILE *stream, const char *path, sqzi_file_map *map, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    struct stat facts;
    unsigned char *data = NULL;
    FAIL_IF(fstat(fileno(stream), &facts) != 0, SQZ_EIO, 0, "%s: %s", path, strerror(errno));
    FAIL_IF(!S_ISREG(facts.st_mode), SQZ_EIO, 0, "%s: %s, a file was expected", path,
            S_ISDIR(facts.st_mode) ? "a folder" : "not a regular file");
    FAIL_IF((uintmax_t)facts.st_size > SIZE_MAX / 2, SQZ_ELIMIT, 0,
            "%s: larger than this machine's address space", path);
    if (facts.st_size == 0) return SQZ_OK;
    data = sqzi_allocate(&sqzi_default_allocator, (size_t)facts.st_size);
    FAIL_IF(!data, SQZ_ENOMEM, 0, "%s: no memory for its %zu bytes", path, (size_t)facts.st_size);
    FAIL_IF(fread(data, 1, (size_t)facts.st_size, stream) != (size_t)facts.st_size, SQZ_EIO, 0,
            "%s: cannot read: %s", path, strerror(errno));
    *map = (sqzi_file_map){data, (size_t)facts.st_size};
    return SQZ_OK;
fail:
    if (data) sqzi_release(&sqzi_default_allocator, data, (size_t)facts.st_size);
    return status;
}

sqz_status sqzi_file_map_open(const char *path, sqzi_file_map *map, sqz_error *error)
{
    *map = (sqzi_file_map){NULL, 0};
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return sqzi_fail(error, sqz_status_of_errno(errno, 0), 0, "%s: cannot open: %s", path,
                         strerror(errno));
    const sqz_status status = read_all(stream, path, map, error);
    (void)fclose(stream);
    return status;
}

void sqzi_file_map_close(sqzi_file_map *map)
{
    sqzi_release(&sqzi_default_allocator, (void *)(uintptr_t)map->data, map->bytes);
    *map = (sqzi_file_map){NULL, 0};
}

void sqzi_file_map_drop(const sqzi_file_map *map, size_t offset, size_t bytes)
{
    (void)map;
    (void)offset;
    (void)bytes;
}
