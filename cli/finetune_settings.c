/* SPDX-License-Identifier: Apache-2.0 */
/* What finetune and distill do where no option says otherwise. */
#include <math.h>

#include "finetune.h"

enum { BATCH = 32 };

cli_tuning_options cli_tuning = {.batch = BATCH,
                                 .seed = 1,
                                 .lr = NAN,
                                 .dropout = NAN,
                                 .warmup = NAN,
                                 .weight_decay = NAN,
                                 .clip = NAN,
                                 .head_lr = NAN,
                                 .label_smoothing = NAN,
                                 .holdout = NAN,
                                 .checkpoint_minutes = NAN};
