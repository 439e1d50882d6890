/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile says besides times: the work of each stage, counted from the model's description
 * and the lengths of a batch. */
#ifndef SQZI_PROFILE_H
#define SQZI_PROFILE_H

#include "nn/head.h"

/* Turn the stopwatches of a workspace on (all at zero) or off. */
void sqzi_profile_watch(sqzi_workspace *workspace, bool on);

/* Add what the stopwatches saw, and the work of one run of the encoder over sequences of these
 * lengths. */
void sqzi_profile_add_run(sqz_profile *profile, const sqzi_workspace *workspace,
                          const sqzi_encoder *encoder, const sqzi_batch *batch);

/* Add a head's work over n inputs, which took ns of all threads. */
void sqzi_profile_add_head(sqz_profile *profile, const sqzi_head *head, uint32_t n, uint64_t ns);

#endif
