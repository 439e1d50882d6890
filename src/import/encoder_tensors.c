/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors by their names in Hugging Face's modules, into the canonical encoder's. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "import/importer.h"

/* Where number i in row order lies. */
static uint64_t place_of(const sqzi_source_tensor *t, uint64_t i)
{
    uint64_t place = 0;
    for (uint32_t d = t->n_dims; d-- > 0; i /= t->shape[d]) place += i % t->shape[d] * t->stride[d];
    return place;
}

double sqzi_import_number(const sqzi_source_tensor *t, uint64_t i)
{
    if (t->strided) i = place_of(t, i);
    uint16_t half;
    float single;
    double number;
    switch (t->type) {
    case SQZI_F16: memcpy(&half, t->data + 2 * i, 2); return (double)sqzi_from_f16(half);
    case SQZI_BF16: memcpy(&half, t->data + 2 * i, 2); return (double)sqzi_from_bf16(half);
    case SQZI_F64: memcpy(&number, t->data + 8 * i, 8); return number;
    default: memcpy(&single, t->data + 4 * i, 4); return (double)single;
    }
}

/* Write a tensor in its target type, a block of numbers at a time. */
static sqz_status emit(void *from, sqzi_file_writer *file, sqz_error *error)
{
    enum { BLOCK = 8192 };
    const sqzi_source_tensor *t = from;
    float block[BLOCK];
    uint16_t halves[BLOCK];
    for (uint64_t begin = 0; begin < t->n; begin += BLOCK) {
        const size_t n = t->n - begin < BLOCK ? (size_t)(t->n - begin) : BLOCK;
        for (size_t i = 0; i < n; i++) {
            block[i] = (float)sqzi_import_number(t, begin + i);
            if (!isfinite(block[i]))
                return sqzi_fail(error, SQZ_ENUMERIC, begin + i,
                                 "%s: number %llu of tensor '%s' is a NaN or an infinity", t->file,
                                 (unsigned long long)(begin + i), t->name);
            halves[i] = t->target == SQZI_F16 ? sqzi_to_f16(block[i]) : sqzi_to_bf16(block[i]);
        }
        const sqz_status status = t->target == SQZI_F32
                                      ? sqzi_file_writer_put(file, block, n * sizeof *block, error)
                                      : sqzi_file_writer_put(file, halves, n * sizeof *halves,
                                                             error);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

sqz_status sqzi_import_tensor(sqzi_importer *m, sqzi_wanted w, bool *found)
{
    sqzi_source_tensor *t = sqzi_import_find(m, w.from);
    if (found) *found = t != NULL;
    if (t) return sqzi_import_found(m, w, t);
    return w.required ? sqzi_import_fail_missing(m, w.from) : SQZ_OK;
}

sqz_status sqzi_import_found(sqzi_importer *m, sqzi_wanted w, sqzi_source_tensor *t)
{
    if (t->unread)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0, "%s: the tensor '%s' cannot be read: %s",
                         t->file, t->name, t->unread);
    const uint32_t n_dims = w.columns ? 2 : 1;
    const bool convolution = t->n_dims == 3 && t->shape[2] == 1 && n_dims == 2;
    if ((t->n_dims != n_dims && !convolution) || t->shape[0] != w.rows ||
        (w.columns && t->shape[1] != w.columns))
        return sqzi_fail(
            m->error, SQZ_EFORMAT, 0,
            "%s: the tensor '%s' is [%llu%s%.0llu] in %u dimensions, [%u%s%.0u] expected", t->file,
            t->name, (unsigned long long)t->shape[0], t->n_dims > 1 ? ", " : "",
            t->n_dims > 1 ? (unsigned long long)t->shape[1] : 0, t->n_dims, w.rows,
            w.columns ? ", " : "", w.columns);
    if (t->type == SQZI_I32)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                         "%s: the tensor '%s' holds integers, floats expected", t->file, t->name);
    const uint64_t shape[] = {w.rows, w.columns};
    t->used = true;
    t->target = !w.weight || m->options.type == SQZ_IMPORT_F32 ? SQZI_F32
                : m->options.type == SQZ_IMPORT_F16            ? SQZI_F16
                                                               : SQZI_BF16;
    sqzi_gguf_put_tensor_by(m->writer, w.name, t->target, n_dims, shape, emit, t);
    return SQZ_OK;
}

sqz_status sqzi_import_layer(sqzi_importer *m, const char *name, const char *from, uint32_t rows,
                             uint32_t columns, bool required, bool *found)
{
    char ours[96], theirs[192];
    bool weight = false;
    snprintf(ours, sizeof ours, "%s.weight", name);
    snprintf(theirs, sizeof theirs, "%s.weight", from);
    sqz_status status = sqzi_import_tensor(
        m, (sqzi_wanted){ours, theirs, rows, columns, columns > 0, required}, &weight);
    if (found) *found = weight;
    if (status != SQZ_OK || !weight) return status;
    snprintf(ours, sizeof ours, "%s.bias", name);
    snprintf(theirs, sizeof theirs, "%s.bias", from);
    return sqzi_import_tensor(m, (sqzi_wanted){ours, theirs, rows, 0, false, true}, NULL);
}

static sqz_status import_block(sqzi_importer *m, uint32_t i)
{
    const sqzi_block sizes = {
        .heads = m->heads, .head_width = m->width / m->heads, .ffn_width = m->ffn_width};
    for (uint32_t j = 0; j < SQZI_BLOCK_PARTS; j++) {
        char name[SQZI_LINEAR_NAME], from[160];
        uint32_t n_in = 0, n_out = m->width;
        sqzi_block_part(i, j, name);
        sqzi_block_name(m->layout, i, j, from, sizeof from);
        if (j < SQZI_BLOCK_LINEARS) {
            sqzi_block_linear_sides(&sizes, m->width, j, &n_in, &n_out);
            n_in /= m->groups[j];
        }
        const sqz_status status = sqzi_import_layer(m, name, from, n_out, n_in, true, NULL);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

/* The table of words; where it was saved under its other name, the decoder of the masked LM. */
static sqz_status import_words(sqzi_importer *m)
{
    static const char words[] = "embeddings.word_embeddings.weight";
    char decoder[64];
    bool tied = true;
    const char *from = words;
    snprintf(decoder, sizeof decoder, "%s.weight", m->layout->decoder);
    const sqz_status status = sqzi_json_bool(m->config, m->config_file, "tie_word_embeddings",
                                             &tied, m->error);
    if (status != SQZ_OK) return status;
    if (tied && !sqzi_import_find(m, words)) {
        if (sqzi_import_find(m, decoder)) from = decoder;
        else if (sqzi_import_find(m, "lm_head.weight")) from = "lm_head.weight";
    }
    if (from != words) sqzi_import_note(m, "the table of words is read from '%s'", from);
    return sqzi_import_tensor(
        m, (sqzi_wanted){"token_embd.weight", from, m->vocabulary, m->embedding_width, true, true},
        NULL);
}

sqz_status sqzi_import_encoder(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_import_find_prefix(m));
    TRY(import_words(m));
    TRY(sqzi_import_tensor(m,
                           (sqzi_wanted){"position_embd.weight",
                                         "embeddings.position_embeddings.weight", m->positions,
                                         m->embedding_width, true, true},
                           NULL));
    if (m->token_types)
        TRY(sqzi_import_tensor(m,
                               (sqzi_wanted){"token_types.weight",
                                             "embeddings.token_type_embeddings.weight",
                                             m->token_types, m->embedding_width, true, true},
                               NULL));
    TRY(sqzi_import_layer(m, "token_embd_norm", "embeddings.LayerNorm", m->embedding_width, 0, true,
                          NULL));
    if (m->embedding_width != m->width)
        TRY(sqzi_import_layer(m, "embd_output", "embeddings_project", m->width, m->embedding_width,
                              true, NULL));
    for (uint32_t i = 0; i < m->blocks; i++) TRY(import_block(m, i));
fail:
    return status;
}
