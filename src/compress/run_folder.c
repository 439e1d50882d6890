/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a run: run.gguf in it holds the run's key. */
#define _DEFAULT_SOURCE
#include "compress/run_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <squeezebert/compress.h>

#include "base/error.h"
#include "kernel/kernel.h"
#include "model/context.h"
#include "rewrite/keyed_file.h"
#include "train/checkpoint_file.h"

static void run_path(const char *folder, char path[SQZI_OUTPUT_PATH])
{
    snprintf(path, SQZI_OUTPUT_PATH, "%.4000s/run.gguf", folder);
}

/* What makes run.gguf another version's. */
static const char version[] = "2";

static sqzi_keyed_tensor parts_of(const sqzi_run_folder *f)
{
    return (sqzi_keyed_tensor){"parts", SQZI_I32, SQZI_RUN_PARTS, SQZI_RUN_HASH / 4, f->parts};
}

static sqz_status save_run(const sqzi_run_folder *f, const char *path, sqz_error *error)
{
    const sqzi_keyed_tensor tensor = parts_of(f);
    return sqzi_keyed_save(f->allocator, path, f->kind, version, &tensor, 1, error);
}

static sqz_status compare(const sqzi_run_folder *f, const char *found, sqz_error *error)
{
    static const char *const names[SQZI_RUN_PARTS] = {
        "another model", "other data", "other options", "other kernels (--cpu chooses them)",
        "another CPU or other threads, on which a plan under a time depends"};
    for (int p = 0; p < SQZI_RUN_PARTS; p++)
        if (memcmp(found + p * SQZI_RUN_HASH, f->parts[p], SQZI_RUN_HASH) != 0)
            return sqzi_fail(error, SQZ_EINVAL, 0,
                             "%.300s holds a run of %s: it cannot be gone on with; remove the "
                             "folder or name another one",
                             f->path, names[p]);
    return SQZ_OK;
}

/* The reader's reason begins with the path, or not. */
static sqz_status say_damaged(const char *path, const sqz_error *why, sqz_error *error)
{
    const size_t n = strlen(path);
    const bool named = strncmp(why->text, path, n) == 0 && strncmp(why->text + n, ": ", 2) == 0;
    return sqzi_fail(error, SQZ_EFORMAT, why->offset,
                     "%.160s is damaged, or another version's (%.200s): remove the folder", path,
                     why->text + (named ? n + 2 : 0));
}

/* Whether this run is there; another one is an error. */
static sqz_status find_run(const sqzi_run_folder *f, const char *path, bool *found,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_error why = {0};
    sqzi_keyed_tensor tensor = parts_of(f);
    sqzi_keyed_file file = {0};
    *found = false;
    if (access(path, F_OK) != 0) return SQZ_OK;
    FAIL_IF(!f->resume, SQZ_EINVAL, 0,
            "%s holds a run that is not finished: resume it, remove the folder or name another one",
            f->path);
    status = sqzi_keyed_open(f->allocator, path, f->kind, version, &tensor, 1, &file, &why);
    FAIL_IF(status == SQZ_EOUTPUT, SQZ_EINVAL, 0,
            "%s holds something else than a run of this kind: name another folder", f->path);
    if (status == SQZ_EFORMAT) status = say_damaged(path, &why, error);
    else FAIL_IF(status != SQZ_OK, status, why.offset, "%s", why.text);
    if (status == SQZ_OK) TRY(compare(f, tensor.data, error));
    *found = status == SQZ_OK;
fail:
    sqzi_keyed_close(&file);
    return status;
}

/* A key that a process which was killed had begun to write. */
static bool is_left_over(const char *name)
{
    static const char key[] = "run.gguf.", like[] = "run.gguf.k3x9qa7m.tmp";
    const size_t n = sizeof like - 1;
    return strlen(name) == n && strncmp(name, key, sizeof key - 1) == 0 &&
           strcmp(name + n - 4, ".tmp") == 0;
}

/* What runs make, in the folder or in one of it; behind these names a temporary one has more. */
static bool is_ours(const char *name)
{
    static const char *const begins[] = {"squeezed-", "healed-",  "statistics-", "times-",
                                         "base.",     "teacher.", "features.",   SQZ_COMPRESS_EACH};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0) return true;
    return false;
}

/* At its end a run removes all that has such a name: none of it may have been there before. */
static sqz_status refuse_others(const char *folder, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        FAIL_IF(is_ours(name), SQZ_EINVAL, 0,
                "%.2000s holds %.200s and no run to go on with: name an empty folder, or a new one",
                folder, name);
    }
fail:
    if (dir) closedir(dir);
    return status;
}

/* A name without links: of what is not there, that of the folder in which it would be, and the
 * rest. */
static void find_real(const char *path, char real[SQZI_OUTPUT_PATH])
{
    char folder[SQZI_OUTPUT_PATH];
    size_t at = strlen(path);
    bool found = at < SQZI_OUTPUT_PATH && realpath(path, real);
    if (found) return;
    while (!found && at > 0) {
        for (at--; at > 0 && path[at - 1] != '/';) at--;
        snprintf(folder, sizeof folder, "%.*s", at ? (int)at : 1, at ? path : ".");
        found = realpath(folder, real);
    }
    if (!found) real[0] = '\0';
    const size_t n = strlen(real);
    snprintf(real + n, SQZI_OUTPUT_PATH - n, "/%s", path + at);
    for (size_t end = strlen(real); end > 1 && real[end - 1] == '/';) real[--end] = '\0';
}

sqz_status sqzi_run_folder_spare(const char *folder, const char *name, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char place[SQZI_OUTPUT_PATH], inner[SQZI_OUTPUT_PATH], outer[SQZI_OUTPUT_PATH];
    sqzi_place kind;
    if (!name) return SQZ_OK;
    TRY(sqzi_place_find(name, place, &kind, error));
    find_real(place, inner);
    find_real(folder, outer);
    const size_t n = strlen(outer);
    FAIL_IF(n && strncmp(inner, outer, n) == 0 && (!inner[n] || inner[n] == '/'), SQZ_EOUTPUT, 0,
            "%.1000s: cannot write: it is, or is in, the folder of the run, %.1000s, which is "
            "removed at its end; name another place",
            name, folder);
fail:
    return status;
}

sqz_status sqzi_run_folder_open(sqzi_run_folder *f, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char path[SQZI_OUTPUT_PATH];
    bool found;
    f->lock = (sqzi_checkpoints){.folder = f->path, .lock = -1};
    FAIL_IF(strlen(f->path) + 96 > SQZI_OUTPUT_PATH, SQZ_EOUTPUT, 0,
            "%.80s..: the name is too long", f->path);
    f->was_there = access(f->path, F_OK) == 0;
    TRY(sqzi_checkpoints_open(&f->lock, error));
    run_path(f->path, path);
    TRY(find_run(f, path, &found, error));
    if (!found) TRY(refuse_others(f->path, error));
    if (!found) TRY(save_run(f, path, error));
    f->is_new = !found;
fail:
    return status;
}

/* ---- the end ---- */

/* A file, a folder of checkpoints, or that of a run within the run. */
static void remove_one(const char *path)
{
    if (unlink(path) == 0) return;
    sqzi_checkpoint_remove_old(path, NULL, NULL);
    sqzi_run_folder_remove(path);
}

/* The key goes last: until then a run that is resumed makes anew what is gone. */
static void remove_made(const char *folder)
{
    char path[SQZI_OUTPUT_PATH + 256];
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (is_ours(entry->d_name) || is_left_over(entry->d_name)) remove_one(path);
    }
    if (dir) closedir(dir);
    run_path(folder, path);
    (void)unlink(path);
}

void sqzi_run_folder_remove(const char *folder)
{
    remove_made(folder);
    (void)rmdir(folder); /* unless somebody else has something in it */
}

bool sqzi_run_is_refused(const sqzi_run_folder *f, sqz_status status)
{
    return f->is_new &&
           (status == SQZ_EINVAL || status == SQZ_EFORMAT || status == SQZ_EUNSUPPORTED);
}

void sqzi_run_folder_close(sqzi_run_folder *f, bool done, bool refused)
{
    if (!f->lock.folder) return;
    if (!done && refused && f->is_new && f->was_there) remove_made(f->path);
    else if (done || refused) sqzi_run_folder_remove(f->path);
    sqzi_checkpoints_close(&f->lock);
}

/* ---- its files ---- */

bool sqzi_run_file_is_there(sqz_context *context, const char *path)
{
    sqz_file_check check;
    sqz_error error = {0};
    return access(path, F_OK) == 0 && sqz_model_check(context, path, &check, &error) == SQZ_OK &&
           check.has_checksum;
}

void sqzi_run_hash_model(const sqz_model *model, char *hex)
{
    enum { PIECE = 16 << 20 };
    sqzi_sha256 hash;
    sqzi_sha256_init(&hash);
    for (size_t at = 0, n; at < model->map.bytes; at += n) {
        n = model->map.bytes - at < PIECE ? model->map.bytes - at : PIECE;
        sqzi_sha256_update(&hash, model->map.data + at, n);
    }
    sqzi_sha256_final(&hash, hex);
}

void sqzi_run_hash_text(const char *text, char *hex)
{
    sqzi_sha256 hash;
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, text, strlen(text));
    sqzi_sha256_final(&hash, hex);
}

void sqzi_run_hash_kernels(const sqz_context *context, char *hex)
{
    char names[200];
    const sqzk_table *k = &context->kernels;
    snprintf(names, sizeof names, "%s %s %s", k->gemm_f32->name, k->gemm_s8 ? k->gemm_s8->name : "",
             k->rows_level);
    sqzi_run_hash_text(names, hex);
}

void sqzi_run_folder_set_key(sqzi_run_folder *f)
{
    sqzi_sha256 hash;
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, f->parts, sizeof f->parts);
    sqzi_sha256_final(&hash, f->key);
}
