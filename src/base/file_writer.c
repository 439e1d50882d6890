/* SPDX-License-Identifier: Apache-2.0 */
/* Files written under a temporary name and renamed. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file_map.h"

/* A rename would put a file in the place of a device or a pipe: root's `-o /dev/null` would take it
 * from the whole system. */
static bool is_no_file(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && !S_ISREG(found.st_mode);
}

sqz_status sqzi_file_writer_open(const char *path, sqzi_file_writer *writer, sqz_error *error)
{
    writer->stream = NULL;
    const int written = snprintf(writer->path, sizeof writer->path, "%s", path);
    if (written < 0 || (size_t)written >= sizeof writer->path)
        return sqzi_fail(error, SQZ_EIO, 0, "the path has more than %zu bytes",
                         sizeof writer->path - 1);
    if (is_no_file(path))
        return sqzi_fail(
            error, SQZ_EIO, 0,
            "%s: cannot write: it is no file but a folder, a device or a pipe; name a file", path);
    snprintf(writer->temporary, sizeof writer->temporary, "%s.%ld.tmp", writer->path,
             (long)getpid());
    writer->stream = fopen(writer->temporary, "wbe");
    if (!writer->stream)
        return sqzi_fail(error, errno == ENOMEM ? SQZ_ENOMEM : SQZ_EIO, 0, "%s: cannot write: %s",
                         writer->temporary, strerror(errno));
    return SQZ_OK;
}

sqz_status sqzi_file_writer_put(sqzi_file_writer *writer, const void *data, size_t bytes,
                                sqz_error *error)
{
    if (bytes && fwrite(data, 1, bytes, writer->stream) != bytes)
        return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot write: %s", writer->temporary,
                         strerror(errno));
    return SQZ_OK;
}

sqz_status sqzi_file_writer_flush(sqzi_file_writer *writer, sqz_error *error)
{
    if (fflush(writer->stream) != 0)
        return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot write: %s", writer->temporary,
                         strerror(errno));
    return SQZ_OK;
}

sqz_status sqzi_file_writer_put_at(sqzi_file_writer *writer, uint64_t offset, const void *data,
                                   size_t bytes, sqz_error *error)
{
    if (fseeko(writer->stream, (off_t)offset, SEEK_SET) != 0)
        return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot write: %s", writer->temporary,
                         strerror(errno));
    const sqz_status status = sqzi_file_writer_put(writer, data, bytes, error);
    if (status == SQZ_OK && fseeko(writer->stream, 0, SEEK_END) != 0)
        return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot write: %s", writer->temporary,
                         strerror(errno));
    return status;
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
