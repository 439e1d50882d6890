/* SPDX-License-Identifier: Apache-2.0 */
/* The folder that a run goes on in. A file of it is whole once it has its name: that is all that a
 * run which was killed needs to know.
 *
 *   run.gguf                the key of the run: of model, data, options and kernels
 *   squeezed-KEY.gguf       a plan's file; -KEY.parts: its table, written last
 *   healed-KEY.plan         how many steps it is healed
 *   healed-KEY/             checkpoints of that
 *   healed-KEY.gguf         what they came to
 *   statistics-KEY.gguf     what layers read, where the caller has no cache of its own
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "compress/compressor.h"
#include "train/checkpoint_file.h"
#include "model/context.h"
#include "rewrite/keyed_file.h"

static const char kind[] = "compress";

static void run_path(const sqzi_compressor *c, char path[SQZI_OUTPUT_PATH])
{
    snprintf(path, SQZI_OUTPUT_PATH, "%s/run.gguf", c->options.folder);
}

static sqz_status save_run(const sqzi_compressor *c, const char *path, sqz_error *error)
{
    const int32_t version = 1;
    const sqzi_keyed_tensor tensor = {"version", SQZI_I32, 1, 1, &version};
    return sqzi_keyed_save(c->allocator, path, kind, c->key, &tensor, 1, error);
}

/* Whether a run of this key is there; one of another is an error. */
static sqz_status find_run(const sqzi_compressor *c, const char *path, bool *found,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_error why = {0};
    sqzi_keyed_tensor tensor = {"version", SQZI_I32, 1, 1, NULL};
    sqzi_keyed_file file = {0};
    *found = false;
    if (access(path, F_OK) != 0) return SQZ_OK;
    FAIL_IF(!c->options.resume, SQZ_EINVAL, 0,
            "%s holds a run that is not finished: resume it, remove the folder or name another one",
            c->options.folder);
    status = sqzi_keyed_open(c->allocator, path, kind, c->key, &tensor, 1, &file, &why);
    FAIL_IF(status != SQZ_OK, SQZ_EINVAL, 0,
            "%s holds a run of another model, other data, options or kernels (%.100s): it cannot "
            "be gone on with; remove the folder or name another one",
            c->options.folder, why.text);
    *found = true;
fail:
    sqzi_keyed_close(&file);
    return status;
}

sqz_status sqzi_compress_open_folder(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char path[SQZI_OUTPUT_PATH];
    bool found;
    c->lock = (sqzi_checkpoints){.folder = c->options.folder, .lock = -1};
    FAIL_IF(strlen(c->options.folder) + 64 > SQZI_OUTPUT_PATH, SQZ_EOUTPUT, 0,
            "%.80s..: the name is too long", c->options.folder);
    TRY(sqzi_checkpoints_open(&c->lock, error));
    run_path(c, path);
    TRY(find_run(c, path, &found, error));
    if (!found) TRY(save_run(c, path, error));
fail:
    return status;
}

/* ---- the end ---- */

static bool is_ours(const char *name)
{
    static const char *const begins[] = {"squeezed-", "healed-", "statistics-", "times-"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0) return true;
    return false;
}

/* A file, or a folder of checkpoints. */
static void remove_one(const char *path)
{
    if (unlink(path) == 0) return;
    sqzi_checkpoint_remove_old(path, NULL, NULL);
    (void)rmdir(path);
}

/* The key goes last: until then a run that is resumed makes anew what is gone. */
static void remove_folder(const sqzi_compressor *c)
{
    char path[SQZI_OUTPUT_PATH + 256];
    DIR *dir = opendir(c->options.folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", c->options.folder, entry->d_name);
        if (is_ours(entry->d_name)) remove_one(path);
    }
    if (dir) closedir(dir);
    run_path(c, path);
    (void)unlink(path);
    (void)rmdir(c->options.folder); /* unless somebody else has something in it */
}

void sqzi_compress_close_folder(sqzi_compressor *c, bool done)
{
    if (!c->lock.folder) return;
    if (done) remove_folder(c);
    sqzi_checkpoints_close(&c->lock);
}

/* ---- names ---- */

void sqzi_compress_name(const sqzi_compressor *c, const char *name, const char *key,
                        const char *ending, char path[SQZI_OUTPUT_PATH])
{
    path[0] = '\0';
    if (c->options.folder && c->out)
        snprintf(path, SQZI_OUTPUT_PATH, "%.4000s/%s-%.16s%s", c->options.folder, name, key,
                 ending);
}

bool sqzi_compress_is_there(const sqzi_compressor *c, const char *path)
{
    sqz_file_check check;
    sqz_error error = {0};
    return path[0] && access(path, F_OK) == 0 &&
           sqz_model_check(c->context, path, &check, &error) == SQZ_OK && check.has_checksum;
}
