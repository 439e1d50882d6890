/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs: opened under a temporary name or straight on a stream, written, synced, renamed. */
#define _DEFAULT_SOURCE
#include "base/file_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/temporaries.h"

enum { MAX_TRIES = 100, MAX_PERMISSIONS = 0777 };

sqz_status sqzi_file_writer_open_descriptor(int descriptor, const char *path,
                                            sqzi_file_writer *writer, sqz_error *error)
{
    int reason = errno;
    snprintf(writer->path, sizeof writer->path, "%s", path);
    if (descriptor >= 0 && !(writer->stream = fdopen(descriptor, "wb"))) reason = errno;
    if (writer->stream) return SQZ_OK;
    if (descriptor >= 0) close(descriptor);
    return sqzi_place_fail(path, writer->place[0] ? writer->place : NULL, reason, error);
}

/* The permissions of the file that is going to be replaced, and its owner where that is allowed. */
static void take_permissions(const char *place, int descriptor)
{
#ifdef __wasi__ /* has neither */
    (void)place;
    (void)descriptor;
#else
    struct stat old;
    if (stat(place, &old) != 0) return;
    if (old.st_uid != geteuid() || old.st_gid != getegid())
        if (fchown(descriptor, old.st_uid, old.st_gid) != 0) errno = 0;
    (void)fchmod(descriptor, old.st_mode & MAX_PERMISSIONS);
#endif
}

/* A file that may not be written is not replaced either, which its folder's permissions alone would
 * allow. */
static bool is_protected(const char *place)
{
    return faccessat(AT_FDCWD, place, W_OK, AT_EACCESS) != 0 && errno != ENOENT;
}

static int open_temporary(sqzi_file_writer *writer)
{
    int descriptor = -1;
    for (int tries = 0; descriptor < 0 && tries < MAX_TRIES; tries++) {
        sqzi_place_temporary(writer->place, writer->temporary);
        writer->slot = sqzi_temporary_add(AT_FDCWD, writer->temporary, false);
        descriptor = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0) break;
        sqzi_temporary_forget(writer->slot);
        if (errno != EEXIST) break;
    }
    if (descriptor < 0) writer->temporary[0] = '\0';
    else take_permissions(writer->place, descriptor);
    return descriptor;
}

static sqz_status open_file(const char *path, sqzi_file_writer *writer, sqz_error *error)
{
    const int descriptor = is_protected(writer->place) ? -1 : open_temporary(writer);
    const sqz_status status = sqzi_file_writer_open_descriptor(descriptor, path, writer, error);
    if (status != SQZ_OK) sqzi_file_writer_discard(writer);
    return status;
}

static int open_stream(const char *path)
{
    const int descriptor = sqzi_place_descriptor(path);
    if (descriptor < 0) return open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
#ifdef __wasi__ /* cannot double one */
    errno = ENOTSUP;
    return -1;
#else
    const int flags = fcntl(descriptor, F_GETFL);
    if (flags != -1 && (flags & O_ACCMODE) == O_RDONLY) {
        errno = EBADF;
        return -1;
    }
    return flags == -1 ? -1 : fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
#endif
}

static sqz_status open_place(const char *path, bool any, sqzi_file_writer *writer, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_place kind;
    *writer = (sqzi_file_writer){.slot = -1};
    TRY(sqzi_place_find(path, writer->place, &kind, error));
    FAIL_IF(kind == SQZI_PLACE_FOLDER, SQZ_EOUTPUT, 0,
            "%s: cannot write: it is a folder; name a file", path);
    if (kind == SQZI_PLACE_FILE) return open_file(path, writer, error);
    FAIL_IF(!any, SQZ_EOUTPUT, 0,
            "%s: cannot write: it is no file but a device, a pipe or a stream, and this is put "
            "in place as a whole; name a file",
            path);
    writer->place[0] = '\0';
    return sqzi_file_writer_open_descriptor(open_stream(path), path, writer, error);
fail:
    writer->place[0] = '\0';
    return status;
}

sqz_status sqzi_file_writer_open(const char *path, sqzi_file_writer *writer, sqz_error *error)
{
    return open_place(path, false, writer, error);
}

sqz_status sqzi_file_writer_open_any(const char *path, sqzi_file_writer *writer, sqz_error *error)
{
    return open_place(path, true, writer, error);
}

sqz_status sqzi_file_writer_put(sqzi_file_writer *writer, const void *data, size_t bytes,
                                sqz_error *error)
{
    if (bytes && fwrite(data, 1, bytes, writer->stream) != bytes)
        return sqzi_place_fail(writer->path, NULL, errno, error);
    return SQZ_OK;
}

sqz_status sqzi_file_writer_flush(sqzi_file_writer *writer, sqz_error *error)
{
    return fflush(writer->stream) == 0 ? SQZ_OK : sqzi_place_fail(writer->path, NULL, errno, error);
}

sqz_status sqzi_file_writer_put_at(sqzi_file_writer *writer, uint64_t offset, const void *data,
                                   size_t bytes, sqz_error *error)
{
    if (fseeko(writer->stream, (off_t)offset, SEEK_SET) != 0)
        return sqzi_place_fail(writer->path, NULL, errno, error);
    const sqz_status status = sqzi_file_writer_put(writer, data, bytes, error);
    if (status == SQZ_OK && fseeko(writer->stream, 0, SEEK_END) != 0)
        return sqzi_place_fail(writer->path, NULL, errno, error);
    return status;
}

/* Streams cannot be synced, nor can files on some file systems. */
static int sync_stream(FILE *stream)
{
    return fsync(fileno(stream)) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS
               ? 0
               : errno;
}

static sqz_status finish(sqzi_file_writer *writer, sqz_error *error)
{
    if (!writer->stream) return SQZ_OK;
    /* the reason of an earlier failure is gone: it shows again as one byte more is written */
    const bool lost = ferror(writer->stream) != 0;
    if (lost) (void)putc('\n', writer->stream);
    int failed = fflush(writer->stream) != 0 ? errno : lost ? EIO : sync_stream(writer->stream);
    if (fclose(writer->stream) != 0 && !failed) failed = errno;
    writer->stream = NULL;
    return failed ? sqzi_place_fail(writer->path, NULL, failed, error) : SQZ_OK;
}

sqz_status sqzi_file_writer_commit(sqzi_file_writer *writer, sqz_error *error)
{
    sqz_status status = finish(writer, error);
    if (status == SQZ_OK && writer->temporary[0]) {
        if (rename(writer->temporary, writer->place) == 0) {
            sqzi_temporary_forget(writer->slot);
            writer->temporary[0] = '\0';
            sqzi_place_sync_folder(writer->place);
        } else status = sqzi_place_fail(writer->path, writer->place, errno, error);
    }
    sqzi_file_writer_discard(writer);
    return status;
}

void sqzi_file_writer_discard(sqzi_file_writer *writer)
{
    if (writer->stream) (void)fclose(writer->stream);
    writer->stream = NULL;
    if (!writer->temporary[0]) return;
    (void)unlink(writer->temporary);
    sqzi_temporary_forget(writer->slot);
    writer->temporary[0] = '\0';
}

/* ---- for programs ---- */

struct sqz_output {
    sqz_allocator allocator;
    sqzi_file_writer writer;
};

sqz_status sqz_output_open(const sqz_allocator *allocator, const char *path, sqz_output_kind kind,
                           sqz_output **output, sqz_error *error)
{
    const sqz_allocator *from = allocator ? allocator : &sqzi_default_allocator;
    if (!path || !output || (unsigned)kind > SQZ_OUTPUT_ANY)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "sqz_output_open: an argument is NULL, or there is no such kind");
    sqz_status status = SQZI_RESERVED(from, "sqz_allocator", error);
    if (status != SQZ_OK) return status;
    sqz_output *made = sqzi_allocate(from, sizeof *made);
    if (!made) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to write %s", path);
    made->allocator = *from;
    status = open_place(path, kind == SQZ_OUTPUT_ANY, &made->writer, error);
    if (status == SQZ_OK) *output = made;
    else sqzi_release(from, made, sizeof *made);
    return status;
}

int sqz_output_is_file(const sqz_output *output)
{
    return output->writer.place[0] != '\0';
}

FILE *sqz_output_stream(sqz_output *output)
{
    return output->writer.stream;
}

sqz_status sqz_output_commit(sqz_output *output, sqz_error *error)
{
    if (!output) return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_output_commit: output is NULL");
    return sqzi_file_writer_commit(&output->writer, error);
}

void sqz_output_close(sqz_output *output)
{
    if (!output) return;
    sqzi_file_writer_discard(&output->writer);
    const sqz_allocator allocator = output->allocator;
    sqzi_release(&allocator, output, sizeof *output);
}
