/* SPDX-License-Identifier: Apache-2.0 */
/* Which of Transformers' classes can express a model. Everything that its classes take from one
 * number for all blocks must be the same in all of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "export/exporter.h"

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The groups that linear j has once its terms are added up: 1 where inputs or outputs are
 * permuted. */
static uint32_t groups_of(const sqzi_block *block, uint32_t j)
{
    const sqzi_linear *linear = sqzi_block_linear_of(block, j);
    uint32_t groups = linear->in || linear->out ? 1 : linear->terms[0].b.groups;
    for (uint32_t t = 1; t < linear->n_terms; t++)
        groups = common_divisor(groups, linear->terms[t].b.groups);
    return groups;
}

/* Of a head that stands beside the encoder the norm is its module's. */
static bool epsilons_fit(const sqzi_exporter *e, sqzi_architecture type, bool beside, char *why)
{
    const sqzi_layout *l = &sqzi_layouts[type];
    const double embedding = l->has_epsilon ? e->epsilon : 1e-12,
                 blocks = l->block_epsilon > 0 ? l->block_epsilon : e->epsilon;
    const sqzi_gguf_value *attn = sqzi_gguf_find(e->model->gguf, "sqz.block.attn_norm_epsilon"),
                          *ffn = sqzi_gguf_find(e->model->gguf, "sqz.block.ffn_norm_epsilon");
    const double head = e->model->head.has_norm && !beside ? e->head_epsilon : embedding;
    if (e->epsilon != embedding || head != embedding)
        return SQZI_SAY("the norm of its embedding or head has the epsilon %s, %s is needed",
                        SQZI_REAL(6, e->epsilon != embedding ? e->epsilon : head),
                        SQZI_REAL(6, embedding));
    for (uint32_t i = 0; i < e->model->encoder.n_blocks; i++)
        if (sqzi_gguf_float(attn, i) != blocks || sqzi_gguf_float(ffn, i) != blocks)
            return SQZI_SAY("the norms of block %u have the epsilons %s and %s, %s is needed", i,
                            SQZI_REAL(6, sqzi_gguf_float(attn, i)),
                            SQZI_REAL(6, sqzi_gguf_float(ffn, i)), SQZI_REAL(6, blocks));
    return true;
}

static bool groups_fit(const sqzi_exporter *e, sqzi_architecture type, char *why)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    for (uint32_t i = 0; i < encoder->n_blocks && !e->options.dense; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            const uint32_t groups = groups_of(&encoder->blocks[i], j),
                           first = groups_of(encoder->blocks, j);
            const char *name = sqzi_block_linear_name(j);
            if (!sqzi_layouts[type].grouped && groups != 1)
                return SQZI_SAY(
                    "blk.%u.%s has %u groups and its layers are dense: --dense fills them "
                    "up with zeros",
                    i, name, groups);
            if (groups != first)
                return SQZI_SAY(
                    "blk.%u.%s has %u groups and blk.0.%s %u: --dense fills them up with "
                    "zeros",
                    i, name, groups, name, first);
        }
    return true;
}

static bool encoder_fits(const sqzi_exporter *e, sqzi_architecture type, bool beside, char *why)
{
    const sqz_model_info *info = &e->model->info;
    if (!sqzi_layouts[type].projected && info->embedding_width != info->width)
        return SQZI_SAY("its embedding is %u wide and the model %u", info->embedding_width,
                        info->width);
    if (!sqzi_layouts[type].has_types && info->n_token_types)
        return SQZI_SAY("it has %u token types", info->n_token_types);
    if (sqzi_layouts[type].has_types && !info->n_token_types && !e->options.dense)
        return SQZI_SAY("it has no token types: --dense writes a table of zeros");
    return groups_fit(e, type, why) && epsilons_fit(e, type, beside, why);
}

static void choose(sqzi_exporter *e, sqzi_architecture type, bool beside)
{
    e->layout = &sqzi_layouts[type];
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        e->groups[j] = e->options.dense || !e->model->encoder.n_blocks
                           ? 1
                           : groups_of(e->model->encoder.blocks, j);
    e->head_beside = beside;
    e->ending = sqzi_class_ending_of(beside ? SQZ_HEAD_NONE : e->model->head.kind);
}

/* The type it was imported as, bert where none is known. */
static sqzi_architecture preferred(const sqzi_exporter *e)
{
    const sqzi_span type = sqzi_export_string(e, "sqz.source.model_type");
    int i = SQZI_ARCHITECTURES - 1;
    while (i > 0 && !sqzi_span_is(type, sqzi_layouts[i].model_type)) i--;
    return (sqzi_architecture)i;
}

typedef char reasons[SQZI_ARCHITECTURES][SQZI_WHY];

/* The first architecture from `first` on that can express the model, its head by a class of its own
 * or beside it. */
static bool find(sqzi_exporter *e, sqzi_architecture first, bool beside, reasons why)
{
    for (int turn = 0; turn < SQZI_ARCHITECTURES; turn++) {
        const sqzi_architecture type = (sqzi_architecture)(((int)first + turn) %
                                                           SQZI_ARCHITECTURES);
        if (!encoder_fits(e, type, beside, why[type]) ||
            (!beside && !sqzi_export_head_fits(e, &sqzi_layouts[type], why[type])))
            continue;
        choose(e, type, beside);
        if (turn)
            sqzi_export_note(e, "written as %s: as %s, %s", e->layout->model_type,
                             sqzi_layouts[first].model_type, why[first]);
        return true;
    }
    return false;
}

static sqz_status refuse(const sqzi_exporter *e, sqzi_architecture first, reasons why,
                         const char *beside)
{
    char other[2 * SQZI_WHY] = "";
    for (int type = 0; type < SQZI_ARCHITECTURES; type++)
        if (sqzi_layouts[type].grouped && type != (int)first && strcmp(why[first], why[type]) != 0)
            snprintf(other, sizeof other, "; as %s, %.*s", sqzi_layouts[type].model_type,
                     SQZI_WHY - 1, why[type]);
    if (*beside) snprintf(other, sizeof other, "; as modules beside it, %s", beside);
    return sqzi_fail(e->error, SQZ_EUNSUPPORTED, 0,
                     "no class of Transformers can express this model: as %s, %s%s",
                     sqzi_layouts[first].model_type, why[first], other);
}

/* What no folder has a place for. */
static void note_scores(const sqzi_exporter *e)
{
    const sqz_model_info *info = &e->model->info;
    if (info->temperature != 1)
        sqzi_export_note(e, "not written: the temperature, %s; scores are softmax(logits / %s)",
                         SQZI_REAL(9, info->temperature), SQZI_REAL(9, info->temperature));
    if (info->threshold > -HUGE_VAL)
        sqzi_export_note(e,
                         "not written: the threshold, %s; a text whose largest logit is below it "
                         "gets no answer",
                         SQZI_REAL(9, info->threshold));
}

sqz_status sqzi_export_class(sqzi_exporter *e)
{
    reasons why, encoder;
    char beside[SQZI_WHY] = "";
    const sqzi_architecture first = preferred(e);
    if (!sqzi_export_shape(e, why[first]))
        return sqzi_fail(e->error, SQZ_EUNSUPPORTED, 0,
                         "no class of Transformers can express this model: %s", why[first]);
    if (find(e, first, false, why)) {
        note_scores(e);
        return SQZ_OK;
    }
    if (e->model->head.kind != SQZ_HEAD_SEQUENCE || !sqzi_export_head_fits_beside(e, beside) ||
        !find(e, first, true, encoder))
        return refuse(e, first, why, beside);
    sqzi_export_note(e,
                     "written for sentence-transformers, whose encode() gives the head's logits: "
                     "as %s, %s",
                     sqzi_layouts[first].model_type, why[first]);
    note_scores(e);
    return SQZ_OK;
}
