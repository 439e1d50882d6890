/* SPDX-License-Identifier: Apache-2.0 */
/* The sizes that every class takes from one number for all blocks. Blocks that have less are filled
 * up with zeros where that is asked for: heads that read and write nothing, neurons whose outgoing
 * weights are 0. */
#include <stdio.h>

#include "export/exporter.h"

/* Zeros may be written. */
static bool fill_up(sqzi_exporter *e, char *why)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    uint32_t most = 0, widest = 0;
    e->ffn_width = 0;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *b = &encoder->blocks[i];
        if (b->heads > most) most = b->heads;
        if (b->head_width > widest) widest = b->head_width;
        if (b->ffn_width > e->ffn_width) e->ffn_width = b->ffn_width;
    }
    /* the narrowest heads that hold every block's, and fill the width when there are enough */
    e->head_width = widest;
    while (e->head_width <= encoder->width &&
           (encoder->width % e->head_width || encoder->width / e->head_width < most))
        e->head_width++;
    if (e->head_width > encoder->width)
        return SQZI_SAY("it has %u heads in a block, and heads of width %u: equal heads that fill "
                        "the model's width of %u cannot hold them",
                        most, widest, encoder->width);
    e->heads = encoder->width / e->head_width;
    return true;
}

/* Nothing may be added. */
static bool are_alike(sqzi_exporter *e, char *why)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    const sqzi_block *first = encoder->blocks;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *b = &encoder->blocks[i];
        if (b->heads * b->head_width != encoder->width)
            return SQZI_SAY("block %u has %u heads of width %u, which do not fill the model's "
                            "width of %u: --dense fills it up with zeros",
                            i, b->heads, b->head_width, encoder->width);
        if (b->heads != first->heads)
            return SQZI_SAY("block %u has %u heads and block 0 has %u: --dense fills them up with "
                            "zeros",
                            i, b->heads, first->heads);
        if (b->ffn_width != first->ffn_width)
            return SQZI_SAY("the feed-forward of block %u is %u wide and that of block 0 %u: "
                            "--dense fills them up with zeros",
                            i, b->ffn_width, first->ffn_width);
    }
    e->heads = first->heads;
    e->head_width = first->head_width;
    e->ffn_width = first->ffn_width;
    return true;
}

uint32_t sqzi_export_types(const sqzi_exporter *e)
{
    const uint32_t n = e->model->info.n_token_types;
    return n || !e->layout->has_types ? n : 2;
}

static bool find_activation(sqzi_exporter *e, char *why)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    const sqzi_head *head = &e->model->head;
    /* without blocks the one key for both is the head's alone */
    e->activation = encoder->n_blocks                  ? encoder->blocks[0].activation
                    : head->kind == SQZ_HEAD_MASKED_LM ? head->activation
                                                       : SQZK_GELU;
    for (uint32_t i = 0; i < encoder->n_blocks; i++)
        if (encoder->blocks[i].activation != e->activation)
            return SQZI_SAY("block %u and block 0 have different activations", i);
    if (!sqzi_their_word(sqzi_activations, sqzi_activation_words[e->activation]))
        return SQZI_SAY("the activation %s of its blocks is not one of Transformers'",
                        sqzi_activation_words[e->activation]);
    return true;
}

static void tell_filled(const sqzi_exporter *e)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    uint32_t n = 0;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *b = &encoder->blocks[i];
        n += b->heads != e->heads || b->head_width != e->head_width || b->ffn_width != e->ffn_width;
    }
    if (n)
        sqzi_export_note(e,
                         "%u blocks are filled up with zeros to %u heads of width %u and a "
                         "feed-forward of %u",
                         n, e->heads, e->head_width, e->ffn_width);
}

bool sqzi_export_shape(sqzi_exporter *e, char *why)
{
    const sqzi_encoder *encoder = &e->model->encoder;
    if (encoder->embedding.factorised && !e->options.dense)
        return SQZI_SAY("its embedding is factorised to %u numbers a word, and no class projects "
                        "words before the sum: --dense writes the product",
                        encoder->embedding.word.width);
    if (!find_activation(e, why)) return false;
    if (!encoder->n_blocks) {
        e->heads = 1;
        e->head_width = e->ffn_width = encoder->width;
        return true;
    }
    if (!(e->options.dense ? fill_up(e, why) : are_alike(e, why))) return false;
    tell_filled(e);
    return true;
}
