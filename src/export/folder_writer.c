/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "export/folder_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/temporaries.h"
#include "data/point_locale.h"

/* Absent or an empty folder: then a rename can take its place. */
static sqz_status check_free(const char *path, const char *place, sqz_error *error)
{
    struct stat facts;
    if (lstat(place, &facts) != 0)
        return errno == ENOENT ? SQZ_OK : sqzi_place_fail(path, place, errno, error);
    if (!S_ISDIR(facts.st_mode))
        return sqzi_fail(error, SQZ_EOUTPUT, 0,
                         "%s is there and is no folder: name another one, or remove it", path);
    DIR *folder = opendir(place);
    if (!folder) return sqzi_place_fail(path, place, errno, error);
    int n = 0;
    while (n < 3 && readdir(folder)) n++; /* "." and ".." are always there */
    closedir(folder);
    return n < 3 ? SQZ_OK
                 : sqzi_fail(
                       error, SQZ_EOUTPUT, 0,
                       "the folder %s is there and is not empty: name another one, or remove it",
                       path);
}

/* Under a name of its own, with the permissions of the empty folder that it replaces. */
static sqz_status make_temporary(sqzi_folder_writer *folder, sqz_error *error)
{
    struct stat old;
    int made;
    do {
        sqzi_place_temporary(folder->place, folder->temporary);
        folder->slot = sqzi_temporary_add(AT_FDCWD, folder->temporary, true);
        made = mkdir(folder->temporary, 0777);
        if (made != 0) sqzi_temporary_forget(folder->slot);
    } while (made != 0 && errno == EEXIST);
    if (made != 0) {
        folder->temporary[0] = '\0';
        return sqzi_place_fail(folder->path, folder->place, errno, error);
    }
    folder->folder = open(folder->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->folder < 0) return sqzi_place_fail(folder->path, folder->place, errno, error);
    if (stat(folder->place, &old) == 0) (void)fchmod(folder->folder, old.st_mode & 0777);
    return SQZ_OK;
}

sqz_status sqzi_folder_writer_open(const char *path, sqzi_folder_writer *folder, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_place kind;
    size_t n = strlen(path);
    *folder = (sqzi_folder_writer){.folder = -1};
    while (n > 1 && path[n - 1] == '/') n--;
    if (n >= sizeof folder->path) return sqzi_place_fail(path, NULL, ENAMETOOLONG, error);
    snprintf(folder->path, sizeof folder->path, "%.*s", (int)n, path);
    TRY(sqzi_place_find(folder->path, folder->place, &kind, error));
    FAIL_IF(kind == SQZI_PLACE_STREAM, SQZ_EOUTPUT, 0,
            "%s is there and is no folder: name another one, or remove it", folder->path);
    TRY(check_free(folder->path, folder->place, error));
    TRY(make_temporary(folder, error));
    return SQZ_OK;
fail:
    sqzi_folder_writer_discard(folder);
    return status;
}

/* An entry that is going to be made; NULL where one of the name is there. */
static sqzi_folder_entry *add_entry(sqzi_folder_writer *folder, const char *name, size_t n,
                                    bool is_folder)
{
    for (uint32_t i = 0; i < folder->n_entries; i++)
        if (strncmp(folder->entries[i].name, name, n) == 0 && !folder->entries[i].name[n])
            return NULL;
    sqzi_folder_entry *entry = &folder->entries[folder->n_entries++];
    snprintf(entry->name, sizeof entry->name, "%.*s", (int)n, name);
    entry->is_folder = is_folder;
    entry->slot = sqzi_temporary_add(folder->folder, entry->name, is_folder);
    return entry;
}

sqz_status sqzi_folder_writer_file(sqzi_folder_writer *folder, const char *name,
                                   sqzi_file_writer *file, sqz_error *error)
{
    char path[SQZI_OUTPUT_PATH];
    *file = (sqzi_file_writer){.slot = -1};
    const int length = snprintf(path, sizeof path, "%s/%s", folder->path, name);
    if (length >= (int)sizeof path) return sqzi_place_fail(folder->path, NULL, ENAMETOOLONG, error);
    if (folder->n_entries + 2 > SQZI_FOLDER_ENTRIES || strlen(name) >= SQZI_FOLDER_NAME)
        return sqzi_fail(error, SQZ_ELIMIT, 0, "%s: more than %d files, or a longer name than %d",
                         path, SQZI_FOLDER_ENTRIES - 2, SQZI_FOLDER_NAME - 1);
    const char *slash = strrchr(name, '/');
    const sqzi_folder_entry *part = slash ? add_entry(folder, name, (size_t)(slash - name), true)
                                          : NULL;
    if (part && mkdirat(folder->folder, part->name, 0777) != 0)
        return sqzi_place_fail(path, NULL, errno, error);
    (void)add_entry(folder, name, strlen(name), false);
    const int made = openat(folder->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return sqzi_file_writer_open_descriptor(made, path, file, error);
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

sqz_status sqzi_folder_writer_json(sqzi_folder_writer *folder, const char *name, const json_t *json,
                                   sqz_error *error)
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

/* Its own folders first; then what they and the files are called is durable. */
static void sync_folders(const sqzi_folder_writer *folder)
{
    for (uint32_t i = 0; i < folder->n_entries; i++) {
        if (!folder->entries[i].is_folder) continue;
        const int part = openat(folder->folder, folder->entries[i].name,
                                O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (part < 0) continue;
        (void)fsync(part);
        close(part);
    }
    (void)fsync(folder->folder);
}

static void forget(sqzi_folder_writer *folder)
{
    for (uint32_t i = 0; i < folder->n_entries; i++) sqzi_temporary_forget(folder->entries[i].slot);
    sqzi_temporary_forget(folder->slot);
    if (folder->folder >= 0) close(folder->folder);
    folder->folder = -1;
    folder->n_entries = 0;
    folder->temporary[0] = '\0';
}

sqz_status sqzi_folder_writer_commit(sqzi_folder_writer *folder, sqz_error *error)
{
    sync_folders(folder);
    if (rename(folder->temporary, folder->place) != 0)
        return sqzi_place_fail(folder->path, folder->place, errno, error);
    forget(folder);
    sqzi_place_sync_folder(folder->place);
    return SQZ_OK;
}

void sqzi_folder_writer_discard(sqzi_folder_writer *folder)
{
    if (!folder->temporary[0]) return;
    for (uint32_t i = folder->n_entries; i-- > 0;)
        (void)unlinkat(folder->folder, folder->entries[i].name,
                       folder->entries[i].is_folder ? AT_REMOVEDIR : 0);
    (void)rmdir(folder->temporary);
    forget(folder);
}
