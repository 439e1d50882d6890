/* SPDX-License-Identifier: Apache-2.0 */
/* Files: mapped for reading, written under a temporary name and renamed. */
#define _DEFAULT_SOURCE
#include "base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

sqz_status sqzi_file_map_open(const char *path, sqzi_file_map *map, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    struct stat facts;
    *map = (sqzi_file_map){NULL, 0};
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not make us wait */
    FAIL_IF(file < 0, errno == ENOMEM ? SQZ_ENOMEM : SQZ_EIO, 0, "%s: cannot open: %s", path, strerror(errno));
    FAIL_IF(fstat(file, &facts) != 0, SQZ_EIO, 0, "%s: %s", path, strerror(errno));
    FAIL_IF(!S_ISREG(facts.st_mode), SQZ_EIO, 0, "%s: %s, a file was expected", path, S_ISDIR(facts.st_mode) ? "a folder" : "not a regular file");
    FAIL_IF((uintmax_t)facts.st_size > SIZE_MAX, SQZ_ELIMIT, 0, "%s: larger than this machine's address space", path);
    if (facts.st_size > 0) {
        void *data = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        FAIL_IF(data == MAP_FAILED, errno == ENOMEM ? SQZ_ENOMEM : SQZ_EIO, 0, "%s: cannot map: %s", path, strerror(errno));
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
    if (map->data && first < last && last <= map->bytes) (void)madvise((void *)(uintptr_t)(map->data + first), last - first, MADV_DONTNEED);
}

sqz_status sqzi_file_writer_open(const char *path, sqzi_file_writer *writer, sqz_error *error)
{
    writer->stream = NULL;
    const int written = snprintf(writer->path, sizeof writer->path, "%s", path);
    if (written < 0 || (size_t)written >= sizeof writer->path) return sqzi_fail(error, SQZ_EIO, 0, "the path has more than %zu bytes", sizeof writer->path - 1);
    snprintf(writer->temporary, sizeof writer->temporary, "%s.%ld.tmp", writer->path, (long)getpid());
    writer->stream = fopen(writer->temporary, "wbe");
    if (!writer->stream) return sqzi_fail(error, errno == ENOMEM ? SQZ_ENOMEM : SQZ_EIO, 0, "%s: cannot write: %s", writer->temporary, strerror(errno));
    return SQZ_OK;
}

sqz_status sqzi_file_writer_put(sqzi_file_writer *writer, const void *data, size_t bytes, sqz_error *error)
{
    if (bytes && fwrite(data, 1, bytes, writer->stream) != bytes)
        return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot write: %s", writer->temporary, strerror(errno));
    return SQZ_OK;
}

/* The folder is synced as well: a rename is only durable once its folder is. */
static void sync_folder_of(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder ? 1 : 0] = '\0';
    const int file = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return;
    (void)fsync(file);
    close(file);
}

sqz_status sqzi_file_writer_commit(sqzi_file_writer *writer, sqz_error *error)
{
    int failed = fflush(writer->stream) != 0 || fsync(fileno(writer->stream)) != 0 ? errno : 0;
    if (fclose(writer->stream) != 0 && !failed) failed = errno;
    writer->stream = NULL;
    if (!failed && rename(writer->temporary, writer->path) != 0) failed = errno;
    if (failed) {
        (void)unlink(writer->temporary);
        return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot write: %s", writer->path, strerror(failed));
    }
    sync_folder_of(writer->path);
    return SQZ_OK;
}

void sqzi_file_writer_discard(sqzi_file_writer *writer)
{
    if (!writer->stream) return;
    (void)fclose(writer->stream);
    (void)unlink(writer->temporary);
    writer->stream = NULL;
}
