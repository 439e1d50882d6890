/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that a run of several steps goes on in. A file of it is whole once it has its name: that
 * is all that a run which was killed needs to know. */
#ifndef SQZI_RUN_FOLDER_H
#define SQZI_RUN_FOLDER_H

#include "base/file_writer.h"
#include "base/sha256.h"
#include "model/loader.h"
#include "train/checkpoint.h"

/* What decides what a run makes, in the order in which a difference is named. */
typedef enum sqzi_run_part {
    SQZI_RUN_MODEL,
    SQZI_RUN_DATA,
    SQZI_RUN_OPTIONS,
    SQZI_RUN_KERNELS,
    SQZI_RUN_MACHINE /* under a time */
} sqzi_run_part;
enum { SQZI_RUN_PARTS = 5, SQZI_RUN_HASH = SQZI_SHA256_HEX + 3 /* whole I32 */ };

/*   path, kind   of the folder; "compress": whose run it is
 *   parts        hashes; zeroed: nothing of this kind counts
 *   key          of all parts: sqzi_run_folder_set_key
 *   resume       the folder may hold such a run
 *   is_new       the run began with this call */
typedef struct sqzi_run_folder {
    const sqz_allocator *allocator;
    const char *path, *kind;
    char parts[SQZI_RUN_PARTS][SQZI_RUN_HASH], key[SQZI_SHA256_HEX];
    bool resume, is_new, was_there;
    sqzi_checkpoints lock;
} sqzi_run_folder;

/* SHA-256 of a model's file, of a text, and of the names of a context's kernels. */
void sqzi_run_hash_model(const sqz_model *model, char *hex);
void sqzi_run_hash_text(const char *text, char *hex);
void sqzi_run_hash_kernels(const sqz_context *context, char *hex);
void sqzi_run_folder_set_key(sqzi_run_folder *folder);

/* Before all: SQZ_EOUTPUT where `name`, which is to stay, is in the folder, there or not. NULL:
 * nothing. */
SQZ_NODISCARD sqz_status sqzi_run_folder_spare(const char *folder, const char *name,
                                               sqz_error *error);
/* Make the folder, lock it, and see that what it holds is this run's. SQZ_EINVAL: it is not, the
 * text says what differs, or it was not to be gone on with, or a run would begin among other files.
 * SQZ_EFORMAT: its run.gguf is damaged. SQZ_EOUTPUT, SQZ_ERESOURCE. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_run_folder_open(sqzi_run_folder *folder, sqz_error *error);
/* A run that began, and ended so, would end so again: nothing in its folder is of use. One that was
 * gone on with may be another version's, which can. */
bool sqzi_run_is_refused(const sqzi_run_folder *folder, sqz_status status);
/* done, refused: what a run makes in it is removed, and the folder, which a run that is refused
 * leaves where it found it. */
void sqzi_run_folder_close(sqzi_run_folder *folder, bool done, bool refused);
/* What runs made in a folder, and it, if nothing else is in it. */
void sqzi_run_folder_remove(const char *folder);

/* It is there, a model file, whole. */
bool sqzi_run_file_is_there(sqz_context *context, const char *path);

#endif
