/* SPDX-License-Identifier: Apache-2.0 */
/* The files of checkpoints: names, what they are compared by, reading. */
#ifndef SQZI_CHECKPOINT_FILE_H
#define SQZI_CHECKPOINT_FILE_H

#include "train/checkpoint.h"

/* FOLDER/KIND-00000120.gguf. */
void sqzi_checkpoint_path(const char *folder, const char *kind, uint64_t step,
                          char path[SQZI_OUTPUT_PATH]);

/* The largest step below `below` that a file step-*.gguf is named after. */
bool sqzi_checkpoint_newest(const char *folder, uint64_t below, uint64_t *step);

/* Remove all but these, and what a process that was killed had begun; NULL: all. What cannot be
 * removed stays, and does no harm. */
void sqzi_checkpoint_remove_old(const char *folder, const uint64_t steps[2],
                                const uint64_t bests[2]);

/* The checkpoint is whole, and *finished says whether its run was. */
bool sqzi_checkpoint_finished(const sqzi_checkpoints *checkpoints, const sqz_trainer *trainer,
                              uint64_t step, bool *finished);

enum { SQZI_LEVEL_TEXT = 240 };
/* The kernels that decide bits. */
void sqzi_checkpoint_level(const sqz_trainer *trainer, char level[SQZI_LEVEL_TEXT]);
/* SHA-256 of the base, found when it is first asked for. */
const char *sqzi_checkpoint_base(sqz_trainer *trainer);

#endif
