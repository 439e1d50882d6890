/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: a folder of model files with what a run needs to go on.
 *
 *   step-00000120.gguf   the model after so many steps, moments as optim.m.NAME and optim.v.NAME,
 *                        and sqz.train.*: where it stands and what it must be resumed with
 *   best-00000040.gguf   the model after the step that scored best
 *
 * Each is written under a temporary name, synced, renamed, and carries checksums. The last two
 * steps stay, and the best that they speak of. So a run that is killed at any moment finds the
 * newest one that is whole.
 */
#ifndef SQZI_CHECKPOINT_H
#define SQZI_CHECKPOINT_H

#include "train/trainer.h"

typedef struct sqzi_checkpoints {
    const char *folder;
    const char *recipe;                         /* sqzi_recipe_text */
    void (*note)(void *user, const char *text); /* or NULL */
    void *user;
    /* what stays in the folder: the last two steps, and the best that each speaks of; 0: none */
    uint64_t steps[2], bests[2];
    int lock; /* of the folder's descriptor, -1: none */
} sqzi_checkpoints;

/* ---- checkpoint_lock.c ---- */

/* Make the folder where it is missing, and keep other runs out of it until it is closed.
 * SQZ_EOUTPUT, SQZ_ERESOURCE: it cannot be written, is none, or another run has it. */
SQZ_NODISCARD sqz_status sqzi_checkpoints_open(sqzi_checkpoints *checkpoints, sqz_error *error);
void sqzi_checkpoints_close(sqzi_checkpoints *checkpoints);

/* ---- checkpoint.c ---- */

/* Ready the folder for a run that begins. SQZ_EINVAL: it holds a run that is not finished, unless
 * that was resumed and none of it was whole. What it holds is removed. */
SQZ_NODISCARD sqz_status sqzi_checkpoints_begin(const sqzi_checkpoints *checkpoints,
                                                const sqz_trainer *trainer, bool resumed,
                                                sqz_error *error);

/* Write one of what the trainer has now, and remove those that are too old. */
SQZ_NODISCARD sqz_status sqzi_checkpoint_write(sqzi_checkpoints *checkpoints, sqz_trainer *trainer,
                                               sqz_error *error);

/* Masters, moments and state from the newest that is whole; *found false where there is none. What
 * is damaged is told to note, and the one before it is taken. SQZ_EINVAL: one that is whole belongs
 * to another recipe, base, data or kernels' level, the text says which. SQZ_EIO: one cannot be
 * read. */
SQZ_NODISCARD sqz_status sqzi_checkpoint_resume(sqzi_checkpoints *checkpoints, sqz_trainer *trainer,
                                                bool *found, sqz_error *error);

#endif
