/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "import/folder_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "data/point_locale.h"

/* Absent or an empty folder: then a rename can take its place. */
static sqz_status check_free(const char *path, sqz_error *error)
{
    struct stat facts;
    if (lstat(path, &facts) != 0)
        return errno == ENOENT ? SQZ_OK
                               : sqzi_fail(error, SQZ_EIO, 0, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(facts.st_mode))
        return sqzi_fail(error, SQZ_EIO, 0,
                         "%s is there and is no folder: name another one, or remove it", path);
    DIR *folder = opendir(path);
    if (!folder) return sqzi_fail(error, SQZ_EIO, 0, "%s: %s", path, strerror(errno));
    int n = 0;
    while (n < 3 && readdir(folder)) n++; /* "." and ".." are always there */
    closedir(folder);
    return n < 3 ? SQZ_OK
                 : sqzi_fail(
                       error, SQZ_EIO, 0,
                       "the folder %s is there and is not empty: name another one, or remove it",
                       path);
}

sqz_status sqzi_folder_writer_open(const char *path, sqzi_folder_writer *folder, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n = strlen(path);
    folder->temporary[0] = '\0';
    while (n > 1 && path[n - 1] == '/') n--;
    FAIL_IF(n == 0 || n >= sizeof folder->path, SQZ_EIO, 0,
            "the folder's path has %zu bytes, 1 to %zu are possible", n, sizeof folder->path - 1);
    snprintf(folder->path, sizeof folder->path, "%.*s", (int)n, path);
    TRY(check_free(folder->path, error));
    char temporary[sizeof folder->temporary];
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", folder->path, (long)getpid());
    FAIL_IF(mkdir(temporary, 0777) != 0, SQZ_EIO, 0, "%s: cannot make this folder: %s", temporary,
            strerror(errno));
    memcpy(folder->temporary, temporary, sizeof temporary);
fail:
    return status;
}

sqz_status sqzi_folder_writer_file(const sqzi_folder_writer *folder, const char *name,
                                   sqzi_file_writer *file, sqz_error *error)
{
    char path[SQZI_FOLDER_PATH + 256];
    const char *slash = strrchr(name, '/');
    if (slash) {
        snprintf(path, sizeof path, "%s/%.*s", folder->temporary, (int)(slash - name), name);
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot make this folder: %s", path,
                             strerror(errno));
    }
    snprintf(path, sizeof path, "%s/%s", folder->temporary, name);
    return sqzi_file_writer_open(path, file, error);
}

typedef struct destination {
    sqzi_file_writer file;
    sqz_error *error;
    sqz_status status;
} destination;

static int put(const char *bytes, size_t n, void *user)
{
    destination *d = user;
    d->status = sqzi_file_writer_put(&d->file, bytes, n, d->error);
    return d->status == SQZ_OK ? 0 : -1;
}

sqz_status sqzi_folder_writer_json(const sqzi_folder_writer *folder, const char *name,
                                   const json_t *json, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    destination d = {.error = error};
    TRY(sqzi_folder_writer_file(folder, name, &d.file, error));
    const sqzi_point_locale locale = sqzi_point_locale_begin();
    const int dumped = json_dump_callback(json, put, &d, JSON_INDENT(2));
    sqzi_point_locale_end(locale);
    if (dumped != 0) {
        status = d.status != SQZ_OK
                     ? d.status
                     : sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the text of %s", name);
        goto fail;
    }
    TRY(sqzi_file_writer_put(&d.file, "\n", 1, error));
    TRY(sqzi_file_writer_commit(&d.file, error));
fail:
    sqzi_file_writer_discard(&d.file);
    return status;
}

sqz_status sqzi_folder_writer_commit(sqzi_folder_writer *folder, sqz_error *error)
{
    if (rename(folder->temporary, folder->path) != 0)
        return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot be put in place: %s", folder->path,
                         strerror(errno));
    folder->temporary[0] = '\0';
    return SQZ_OK;
}

/* What this writer made: files, and folders of files. */
static void remove_below(const char *path, int depth)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char inside[SQZI_FOLDER_PATH + 512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        const int n = snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (n < 0 || n >= (int)sizeof inside) continue;
        if (unlink(inside) != 0 && depth > 0) remove_below(inside, depth - 1);
    }
    if (folder) closedir(folder);
    (void)rmdir(path);
}

void sqzi_folder_writer_discard(sqzi_folder_writer *folder)
{
    if (folder->temporary[0]) remove_below(folder->temporary, 1);
    folder->temporary[0] = '\0';
}
