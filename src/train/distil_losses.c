/* SPDX-License-Identifier: Apache-2.0 */
/* Losses against a teacher: their names, what they read, which form they have. */
#include "train/distil_terms.h"

static const struct {
    const char *name;
    uint32_t needs;
    sqzi_distil_form form;
} losses[SQZ_DISTIL_LOSSES] = {
    [SQZ_DISTIL_LABELS] = {"labels", 0, SQZI_DISTIL_SQUARES}, /* train/loss.h has it */
    [SQZ_DISTIL_LOGITS] = {"logits", SQZI_NEEDS_LOGITS, SQZI_DISTIL_KL},
    [SQZ_DISTIL_SOFT] = {"soft", SQZI_NEEDS_LOGITS, SQZI_DISTIL_SOFT},
    [SQZ_DISTIL_LOGITS_MSE] = {"logits_mse", SQZI_NEEDS_LOGITS, SQZI_DISTIL_SQUARES},
    [SQZ_DISTIL_HIDDEN] = {"hidden", SQZI_NEEDS_HIDDEN, SQZI_DISTIL_SQUARES},
    [SQZ_DISTIL_ATTENTION] = {"attention", SQZI_NEEDS_SCORES, SQZI_DISTIL_SQUARES},
    [SQZ_DISTIL_QUERIES] = {"queries", SQZI_NEEDS_QUERIES, SQZI_DISTIL_RELATIONS},
    [SQZ_DISTIL_KEYS] = {"keys", SQZI_NEEDS_KEYS, SQZI_DISTIL_RELATIONS},
    [SQZ_DISTIL_VALUES] = {"values", SQZI_NEEDS_VALUES, SQZI_DISTIL_RELATIONS},
    [SQZ_DISTIL_POOLED] = {"pooled", SQZI_NEEDS_EMBEDDINGS, SQZI_DISTIL_COSINE},
    [SQZ_DISTIL_POOLED_MSE] = {"pooled_mse", SQZI_NEEDS_EMBEDDINGS, SQZI_DISTIL_SQUARES},
    [SQZ_DISTIL_SIMILARITIES] = {"similarities", SQZI_NEEDS_EMBEDDINGS, SQZI_DISTIL_SIMILARITIES}};

const char *sqz_distil_loss_name(sqz_distil_loss loss)
{
    return (unsigned)loss < SQZ_DISTIL_LOSSES ? losses[loss].name : NULL;
}

uint32_t sqzi_distil_needs_of(const double weights[SQZ_DISTIL_LOSSES])
{
    uint32_t needs = 0;
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES; i++)
        if (weights[i] > 0) needs |= losses[i].needs;
    return needs;
}

sqzi_distil_form sqzi_distil_form_of(sqz_distil_loss loss)
{
    return losses[loss].form;
}
