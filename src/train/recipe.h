/* SPDX-License-Identifier: Apache-2.0 */
/* A recipe with its defaults filled in, and as text. */
#ifndef SQZI_RECIPE_H
#define SQZI_RECIPE_H

#include <squeezebert/train.h>

#include "base/memory.h"
#include "train/distilling.h"

/* Defaults in the place of zeros; what is switched off is 0. SQZ_EINVAL names what is out of
 * range. */
SQZ_NODISCARD sqz_status sqzi_recipe_settle(const sqz_train_recipe *recipe,
                                            const sqz_train_data *data, sqz_train_recipe *settled,
                                            sqz_error *error);

/* Bits of a number that is rounded so; 0: none is. */
uint32_t sqzi_recipe_bits(sqz_fake_quantise rounding);

/* "cosent": the name of a loss in the table of losses, "head" for SQZ_LOSS_HEAD. */
const char *sqzi_recipe_loss(sqz_train_loss loss);

/* Everything that decides what comes out, but for the base, the data, the kernels' level and where
 * it stops, as JSON on one line, always the same for the same recipe: what a checkpoint and the run
 * that resumes from it must agree on. `buffer` gets the text and a NUL. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_recipe_text(const sqz_train_recipe *settled,
                                          const sqzi_distilling *distilling,
                                          const sqz_train_data *data, const sqz_train_run *run,
                                          sqzi_buffer *buffer, sqz_error *error);

enum { SQZI_RECIPE_LINE = 480 + SQZI_DISTILLING_LINE };

/* Its line of sqz.history. distilling NULL: none, here and above. */
void sqzi_recipe_history(const sqz_train_recipe *settled, const sqzi_distilling *distilling,
                         char line[SQZI_RECIPE_LINE]);

#endif
