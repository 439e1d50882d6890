/* SPDX-License-Identifier: Apache-2.0 */
/* The best of a run: a copy of what is trained. */
#include <string.h>

#include "base/error.h"
#include "train/trainer.h"

sqz_status sqzi_trainer_keep_best(sqz_trainer *t, sqz_error *error)
{
    const sqzi_parameters *p = &t->trainable.parameters;
    if (!t->best) {
        t->n_best = p->n_trained;
        t->best = sqzi_allocate(&t->context->allocator, t->n_best * sizeof *t->best);
        if (!t->best)
            return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu numbers of the best step",
                             t->n_best);
    }
    float *at = t->best;
    for (uint32_t i = 0; i < p->n; i++) {
        if (!p->list[i].trained) continue;
        memcpy(at, p->list[i].master, p->list[i].n * sizeof *at);
        at += p->list[i].n;
    }
    return SQZ_OK;
}

void sqzi_trainer_restore_best(sqz_trainer *t)
{
    const sqzi_parameters *p = &t->trainable.parameters;
    const float *at = t->best;
    for (uint32_t i = 0; i < p->n; i++) {
        if (!p->list[i].trained) continue;
        memcpy(p->list[i].master, at, p->list[i].n * sizeof *at);
        at += p->list[i].n;
    }
    sqzi_trainable_pack(&t->trainable, false);
}
