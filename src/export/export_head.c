/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a class of Transformers has the model's head, or modules of sentence-transformers can
 * stand for it. */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "export/exporter.h"

/* Heads that read one vector a sequence. */
static bool whole_head_fits(const sqzi_head *head, const char *dense, const char *activation,
                            char *why)
{
    const sqz_pooling pool = dense ? SQZ_POOLING_CLS : SQZ_POOLING_POOLER;
    if (head->pooling != pool)
        return SQZI_SAY("its head reads '%s', that class '%s'", sqz_pooling_name(head->pooling),
                        sqz_pooling_name(pool));
    if (head->has_norm || head->has_dense != (dense != NULL))
        return SQZI_SAY("its head has %s dense layer%s, that class %s",
                        head->has_dense ? "a" : "no", head->has_norm ? " with a norm" : "",
                        dense ? "one" : "none");
    if (!dense) return true;
    if (head->dense.n_out != head->width)
        return SQZI_SAY("its head's dense layer has %u outputs, the model's width is %u",
                        head->dense.n_out, head->width);
    if (strcmp(sqzi_activation_words[head->activation], activation) != 0)
        return SQZI_SAY("its head's activation is %s, that class has %s",
                        sqzi_activation_words[head->activation], activation);
    return true;
}

bool sqzi_export_head_fits(const sqzi_exporter *e, const sqzi_layout *l, char *why)
{
    const sqzi_head *head = &e->model->head;
    const char *activation = l->masked_activation ? l->masked_activation
                                                  : sqzi_activation_words[e->activation];
    switch (head->kind) {
    case SQZ_HEAD_SEQUENCE:
        return whole_head_fits(head, l->sequence_dense, l->dense_activation, why);
    case SQZ_HEAD_MULTIPLE_CHOICE:
        return whole_head_fits(head, l->choice_dense, l->dense_activation, why);
    case SQZ_HEAD_NONE:
        return !head->has_pooler || !l->sequence_dense ||
               SQZI_SAY("it has a pooler, that class none");
    case SQZ_HEAD_MASKED_LM:
        if (!head->has_dense || !head->has_norm)
            return SQZI_SAY("its head has no dense layer with a norm, that class has them");
        if (head->dense.n_out != e->model->info.embedding_width)
            return SQZI_SAY("its head's dense layer has %u outputs, the embedding's width is %u",
                            head->dense.n_out, e->model->info.embedding_width);
        return strcmp(sqzi_activation_words[head->activation], activation) == 0 ||
               SQZI_SAY("its head's activation is %s, that class has %s",
                        sqzi_activation_words[head->activation], activation);
    default:
        return (!head->has_dense && !head->has_norm) ||
               SQZI_SAY("its head has a dense layer, that class none");
    }
}

const char *sqzi_export_dense_word(sqzk_activation activation)
{
    char ours[32] = "dense";
    if (activation != SQZK_IDENTITY)
        snprintf(ours, sizeof ours, "dense_%s", sqzi_activation_words[activation]);
    return sqzi_their_word(sqzi_dense_words, ours);
}

bool sqzi_export_head_fits_beside(const sqzi_exporter *e, char *why)
{
    const sqzi_head *head = &e->model->head;
    if (head->has_dense && !sqzi_export_dense_word(head->activation))
        return SQZI_SAY("its head's activation is %s, which a Dense module cannot have",
                        sqzi_activation_words[head->activation]);
    if (head->has_norm && e->head_epsilon != SQZI_MODULE_NORM_EPSILON)
        return SQZI_SAY("the epsilon of its head's norm is %s, a LayerNorm module has %s",
                        SQZI_REAL(6, e->head_epsilon), SQZI_REAL(6, SQZI_MODULE_NORM_EPSILON));
    return true;
}
