/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that a run of several steps goes on in. A file of it is whole once it has its name: that
 * is all that a run which was killed needs to know. */
#ifndef SQZI_RUN_FOLDER_H
#define SQZI_RUN_FOLDER_H

#include "base/file_writer.h"
#include "base/sha256.h"
#include "model/loader.h"
#include "train/checkpoint.h"

/*   path, kind   of the folder; "compress": whose run it is
 *   key          of all that decides what the run makes
 *   resume       the folder may hold such a run
 *   is_new       the run began with this call */
typedef struct sqzi_run_folder {
    const sqz_allocator *allocator;
    const char *path, *kind;
    char key[SQZI_SHA256_HEX];
    bool resume, is_new, was_there;
    sqzi_checkpoints lock;
} sqzi_run_folder;

/* Before all: SQZ_EOUTPUT where `name`, which is to stay, is in the folder, there or not. NULL:
 * nothing. */
SQZ_NODISCARD sqz_status sqzi_run_folder_spare(const char *folder, const char *name,
                                               sqz_error *error);
/* Make the folder, lock it, and see that what it holds is this run's. SQZ_EINVAL: it is not, or it
 * was not to be gone on with, or a run would begin among other files. SQZ_EOUTPUT, SQZ_ERESOURCE.
 * Close in any case. */
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

/* SHA-256 of a model's file: for a key. */
void sqzi_run_hash_model(const sqz_model *model, char hex[SQZI_SHA256_HEX]);

#endif
