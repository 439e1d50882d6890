/* SPDX-License-Identifier: Apache-2.0 */
/* The embedding: rows of three tables summed, normed, and brought to the encoder's width; a bare
 * one is the sum of words and types. */
#include "nn/encoder.h"

#include "io/packed_rows.h"

/* Numbers of row `at` put into out, or added to it. */
static void take_numbers(const sqzi_table *table, const sqzk_table *kernels, size_t at,
                         uint32_t beta, const void *numbers, size_t n, sqzi_real *out)
{
    kernels->convert(&(sqzk_convert_args){.n = n,
                                          .source = numbers,
                                          .type = table->type,
                                          .scale = table->type == SQZI_S8 ? table->scale[at] : 1,
                                          .beta = beta,
                                          .out = out});
}

/* Packed rows through int8 pieces. */
static void take_packed(const sqzi_table *table, const sqzk_table *kernels, uint32_t row,
                        uint32_t beta, sqzi_real *out)
{
    enum { PIECE = 512 };
    const size_t n = table->width, bytes = sqzi_packed_row_bytes(table->bits, n);
    const unsigned char *from = (const unsigned char *)table->rows + row * bytes;
    int8_t piece[PIECE];
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t count = n - i < PIECE ? n - i : PIECE;
        sqzi_packed_expand(table->bits, n, from, i, count, piece);
        take_numbers(table, kernels, row, beta, piece, count, out + i);
    }
}

void sqzi_table_row(const sqzi_table *table, const sqzk_table *kernels, uint32_t row, uint32_t beta,
                    sqzi_real *out)
{
    if (table->bits) {
        take_packed(table, kernels, row, beta, out);
        return;
    }
    const uint32_t parts = table->parts ? table->parts : 1, n = table->width / parts;
    const size_t bytes = n * sqzi_type_bytes(table->type);
    for (uint32_t p = 0; p < parts; p++) {
        const size_t at = table->parts
                              ? (size_t)p * SQZI_CENTROIDS + table->codes[(size_t)row * parts + p]
                              : row;
        take_numbers(table, kernels, at, beta, (const unsigned char *)table->rows + at * bytes, n,
                     out + (size_t)p * n);
    }
}

/* In the order of the reference implementations: word + type, then position (BERT); the sum's
 * rounding follows it. */
static void sum_rows(const sqzi_embedding *embedding, const sqzk_table *kernels,
                     const sqzi_batch *batch, uint32_t token, uint32_t position, sqzi_real *out)
{
    if (!embedding->factorised)
        sqzi_table_row(&embedding->word, kernels, batch->ids[token], 0, out);
    if (embedding->type.n_rows)
        sqzi_table_row(&embedding->type, kernels, batch->types ? batch->types[token] : 0, 1, out);
    if (!embedding->bare) sqzi_table_row(&embedding->position, kernels, position, 1, out);
}

bool sqzi_embedding_run(const sqzi_embedding *embedding, const sqzk_table *kernels,
                        const sqzi_batch *batch, sqzi_range tokens, const sqzi_rows *sum,
                        const sqzi_rows *out, sqzi_member_scratch *scratch)
{
    uint32_t sequence = 0;
    for (size_t token = tokens.begin; token < tokens.end; token++) {
        while (batch->first[sequence + 1] <= token) sequence++;
        sqzi_real *row = sqzi_row(sum, token);
        if (embedding->factorised) {
            sqzi_table_row(&embedding->word, kernels, batch->ids[token], 0, scratch->row);
            const sqzi_linear_args args = {
                .m = 1, .x = scratch->row, .ldx = embedding->word.width, .y = row, .ldy = sum->ld};
            if (!sqzi_linear_run(&embedding->factor, &args, &scratch->linear)) return false;
        }
        sum_rows(embedding, kernels, batch, (uint32_t)token,
                 (uint32_t)token - batch->first[sequence], row);
    }
    if (embedding->bare) return true;
    const sqzi_norm *norm = &embedding->norm;
    kernels->layer_norm(&(sqzk_layer_norm_args){.m = tokens.end - tokens.begin,
                                                .n = norm->n,
                                                .x = sqzi_row(sum, tokens.begin),
                                                .ldx = sum->ld,
                                                .weight = norm->weight,
                                                .bias = norm->bias,
                                                .epsilon = norm->epsilon,
                                                .out = sqzi_row(out, tokens.begin),
                                                .ldo = out->ld});
    return true;
}
