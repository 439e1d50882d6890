/* SPDX-License-Identifier: Apache-2.0 */
/* Which of Transformers' classes can express a model. Everything that its classes take from one
 * number for all blocks must be the same in all of them. */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "export/exporter.h"

enum { WHY = 200 };

#define SAY(...) (snprintf(why, WHY, __VA_ARGS__), false)

const sqzi_linear *sqzi_export_linear(const sqzi_block *block, int j)
{
    const sqzi_linear *const linears[SQZI_LINEARS] = {&block->attn_q, &block->attn_k,
                                                      &block->attn_v, &block->attn_output,
                                                      &block->ffn_up, &block->ffn_down};
    return linears[j];
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

uint32_t sqzi_export_groups(const sqzi_linear *linear)
{
    uint32_t groups = linear->in || linear->out ? 1 : linear->terms[0].b.groups;
    for (uint32_t t = 1; t < linear->n_terms; t++)
        groups = common_divisor(groups, linear->terms[t].b.groups);
    return groups;
}

const char *sqzi_export_activation(const sqzi_exporter *e)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    if (encoder->n_blocks) return sqzi_activation_words[encoder->blocks[0].activation];
    return e->model->head.kind == SQZ_HEAD_MASKED_LM
               ? sqzi_activation_words[e->model->head.activation]
               : NULL;
}

/* What no class of any type can do. */
static bool blocks_are_alike(const sqzi_exporter *e, char *why)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    const sqzi_block *first = encoder->blocks;
    if (encoder->embedding.factorised)
        return SAY("its embedding is factorised to %u numbers a word, and no class projects words "
                   "before the sum",
                   encoder->embedding.word.width);
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *b = &encoder->blocks[i];
        if (b->heads * b->head_width != encoder->width)
            return SAY(
                "block %u has %u heads of width %u, which do not fill the model's width of %u", i,
                b->heads, b->head_width, encoder->width);
        if (b->heads != first->heads)
            return SAY("block %u has %u heads and block 0 has %u", i, b->heads, first->heads);
        if (b->ffn_width != first->ffn_width)
            return SAY("the feed-forward of block %u is %u wide and that of block 0 %u", i,
                       b->ffn_width, first->ffn_width);
        if (b->activation != first->activation)
            return SAY("block %u and block 0 have different activations", i);
    }
    return true;
}

static bool epsilons_fit(const sqzi_exporter *e, sqzi_architecture type, char *why)
{
    const sqzi_layout *l = &sqzi_layouts[type];
    const double embedding = l->has_epsilon ? e->epsilon : 1e-12,
                 blocks = l->block_epsilon > 0 ? l->block_epsilon : e->epsilon;
    const sqzi_gguf_value *attn = sqzi_gguf_find(e->model->gguf, "sqz.block.attn_norm_epsilon"),
                          *ffn = sqzi_gguf_find(e->model->gguf, "sqz.block.ffn_norm_epsilon");
    const double head = e->model->head.has_norm ? e->head_epsilon : embedding;
    if (e->epsilon != embedding || head != embedding)
        return SAY("the norm of its embedding or head has the epsilon %s, %s is needed",
                   SQZI_REAL(6, e->epsilon != embedding ? e->epsilon : head),
                   SQZI_REAL(6, embedding));
    for (uint32_t i = 0; i < e->model->encoder.n_blocks; i++)
        if (sqzi_gguf_float(attn, i) != blocks || sqzi_gguf_float(ffn, i) != blocks)
            return SAY("the norms of block %u have the epsilons %s and %s, %s is needed", i,
                       SQZI_REAL(6, sqzi_gguf_float(attn, i)),
                       SQZI_REAL(6, sqzi_gguf_float(ffn, i)), SQZI_REAL(6, blocks));
    return true;
}

static bool groups_fit(const sqzi_exporter *e, sqzi_architecture type, char *why)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    for (uint32_t i = 0; i < encoder->n_blocks && !e->options.dense; i++)
        for (int j = 0; j < SQZI_LINEARS; j++) {
            const uint32_t groups = sqzi_export_groups(sqzi_export_linear(&encoder->blocks[i], j)),
                           first = sqzi_export_groups(sqzi_export_linear(encoder->blocks, j));
            if (!sqzi_layouts[type].grouped && groups != 1)
                return SAY("blk.%u.%s has %u groups and its layers are dense", i,
                           sqzi_block_parts[j], groups);
            if (groups != first)
                return SAY("blk.%u.%s has %u groups and blk.0.%s %u", i, sqzi_block_parts[j],
                           groups, sqzi_block_parts[j], first);
        }
    return true;
}

/* Heads that read one vector a sequence. */
static bool whole_head_fits(const sqzi_head *head, const char *dense, const char *activation,
                            char *why)
{
    const sqz_pool pool = dense ? SQZ_POOL_CLS : SQZ_POOL_POOLER;
    if (head->pool != pool)
        return SAY("its head reads '%s', that class '%s'", sqz_pool_name(head->pool),
                   sqz_pool_name(pool));
    if (head->has_norm || head->has_dense != (dense != NULL))
        return SAY("its head has %s dense layer%s, that class %s", head->has_dense ? "a" : "no",
                   head->has_norm ? " with a norm" : "", dense ? "one" : "none");
    if (!dense) return true;
    if (head->dense.n_out != head->width)
        return SAY("its head's dense layer has %u outputs, the model's width is %u",
                   head->dense.n_out, head->width);
    if (strcmp(sqzi_activation_words[head->activation], activation) != 0)
        return SAY("its head's activation is %s, that class has %s",
                   sqzi_activation_words[head->activation], activation);
    return true;
}

static bool head_fits(const sqzi_exporter *e, const sqzi_layout *l, char *why)
{
    const sqzi_head *head = &e->model->head;
    const char *activation = l->masked_activation ? l->masked_activation
                                                  : sqzi_export_activation(e);
    switch (head->kind) {
    case SQZ_HEAD_SEQUENCE:
        return whole_head_fits(head, l->sequence_dense, l->dense_activation, why);
    case SQZ_HEAD_MULTIPLE_CHOICE:
        return whole_head_fits(head, l->choice_dense, l->dense_activation, why);
    case SQZ_HEAD_NONE:
        return !head->has_pooler || !l->sequence_dense || SAY("it has a pooler, that class none");
    case SQZ_HEAD_MASKED_LM:
        if (!head->has_dense || !head->has_norm)
            return SAY("its head has no dense layer with a norm, that class has them");
        if (head->dense.n_out != e->model->info.embedding_width)
            return SAY("its head's dense layer has %u outputs, the embedding's width is %u",
                       head->dense.n_out, e->model->info.embedding_width);
        return strcmp(sqzi_activation_words[head->activation], activation) == 0 ||
               SAY("its head's activation is %s, that class has %s",
                   sqzi_activation_words[head->activation], activation);
    default:
        return (!head->has_dense && !head->has_norm) ||
               SAY("its head has a dense layer, that class none");
    }
}

static bool fits(const sqzi_exporter *e, sqzi_architecture type, char *why)
{
    const sqz_model_info *info = &e->model->info;
    const char *activation = sqzi_export_activation(e);
    if (activation && !sqzi_their_word(sqzi_activations, activation))
        return SAY("the activation %s of its blocks is not one of Transformers'", activation);
    if (!sqzi_layouts[type].projected && info->embedding_width != info->width)
        return SAY("its embedding is %u wide and the model %u", info->embedding_width, info->width);
    if (sqzi_layouts[type].has_types == (info->n_token_types == 0))
        return SAY("it has %u token types", info->n_token_types);
    return groups_fit(e, type, why) && epsilons_fit(e, type, why) &&
           head_fits(e, &sqzi_layouts[type], why);
}

static void choose(sqzi_exporter *e, sqzi_architecture type)
{
    e->layout = &sqzi_layouts[type];
    for (int j = 0; j < SQZI_LINEARS; j++)
        e->groups[j] = e->options.dense || !e->model->encoder.n_blocks
                           ? 1
                           : sqzi_export_groups(sqzi_export_linear(e->model->encoder.blocks, j));
    e->ending = sqzi_class_ending_of(e->model->head.kind);
}

/* The type it was imported as, bert where none is known. */
static sqzi_architecture preferred(const sqzi_exporter *e)
{
    const sqzi_span type = sqzi_export_string(e, "sqz.source.model_type");
    int i = SQZI_ARCHITECTURES - 1;
    while (i > 0 && !sqzi_span_is(type, sqzi_layouts[i].model_type)) i--;
    return (sqzi_architecture)i;
}

sqz_status sqzi_export_class(sqzi_exporter *e)
{
    char why[SQZI_ARCHITECTURES][WHY], other[WHY + 32] = "";
    const sqzi_architecture first = preferred(e);
    const bool alike = blocks_are_alike(e, why[first]);
    for (int turn = 0; turn < SQZI_ARCHITECTURES && alike; turn++) {
        const sqzi_architecture type = (sqzi_architecture)(((int)first + turn) %
                                                           SQZI_ARCHITECTURES);
        if (!fits(e, type, why[type])) continue;
        choose(e, type);
        if (turn)
            sqzi_export_note(e, "written as %s: as %s, %s", e->layout->model_type,
                             sqzi_layouts[first].model_type, why[first]);
        return SQZ_OK;
    }
    if (!alike)
        return sqzi_fail(e->error, SQZ_EUNSUPPORTED, 0,
                         "no class of Transformers can express this model: %s", why[first]);
    if (first != SQZI_SQUEEZEBERT && strcmp(why[first], why[SQZI_SQUEEZEBERT]) != 0)
        snprintf(other, sizeof other, "; as squeezebert, %.*s", WHY - 1, why[SQZI_SQUEEZEBERT]);
    return sqzi_fail(e->error, SQZ_EUNSUPPORTED, 0,
                     "no class of Transformers can express this model: as %s, %s%s",
                     sqzi_layouts[first].model_type, why[first], other);
}
