/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting sequences: ids behind one another, and where each begins. */
#include "squeeze/sequences.h"

#include "base/error.h"

/* A linear congruential generator modulo 2^64 (Knuth's MMIX), its upper half. */
static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

static sqzi_sequences begin_sequences(const sqz_model *model, bool texts)
{
    const sqz_allocator *allocator = &model->context->allocator;
    const sqzi_buffer empty = {.allocator = allocator, .limit = SIZE_MAX};
    return (sqzi_sequences){.allocator = allocator, .ids = empty, .first = empty, .texts = texts};
}

uint32_t sqzi_sequences_tokens(const sqzi_sequences *s)
{
    return (uint32_t)(s->ids.used / sizeof(uint32_t));
}

static sqz_status add_sequence(sqzi_sequences *s, const uint32_t *ids, uint32_t n, sqz_error *error)
{
    const uint32_t first = sqzi_sequences_tokens(s);
    sqz_status status = sqzi_buffer_append(&s->first, &first, sizeof first, error);
    if (status == SQZ_OK) status = sqzi_buffer_append(&s->ids, ids, n * sizeof *ids, error);
    if (status != SQZ_OK) return status;
    s->n++;
    if (n > s->longest) s->longest = n;
    return SQZ_OK;
}

static sqz_status end_sequences(sqzi_sequences *s, sqz_error *error)
{
    const uint32_t end = sqzi_sequences_tokens(s);
    return sqzi_buffer_append(&s->first, &end, sizeof end, error);
}

void sqzi_sequences_discard(sqzi_sequences *s)
{
    if (!s->allocator) return;
    sqzi_buffer_free(&s->ids);
    sqzi_buffer_free(&s->first);
}

sqz_status sqzi_sequences_random(const sqz_model *model, sqzi_sequences *s, sqz_error *error)
{
    const uint32_t most = model->info.max_positions,
                   length = most < SQZI_CALIBRATION_LENGTH ? most : SQZI_CALIBRATION_LENGTH;
    uint32_t ids[SQZI_CALIBRATION_LENGTH];
    uint64_t state = 1;
    sqz_status status = SQZ_OK;
    *s = begin_sequences(model, false);
    for (int i = 0; i < SQZI_CALIBRATION_SEQUENCES && status == SQZ_OK; i++) {
        for (uint32_t t = 0; t < length; t++) ids[t] = next_random(&state) % model->info.vocabulary;
        status = add_sequence(s, ids, length, error);
    }
    return status == SQZ_OK ? end_sequences(s, error) : status;
}

/* Pieces of the text itself. */
static uint32_t own_pieces(const sqz_encoding *encoding, uint32_t n)
{
    uint32_t own = 0;
    for (uint32_t i = 0; i < n; i++) own += !sqz_encoding_pieces(encoding)[i].special;
    return own;
}

sqz_status sqzi_sequences_up_to(const sqz_model *model, const sqz_text *texts, size_t n,
                                uint32_t most, sqzi_sequences *s, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_tokenizer *tokenizer = sqz_model_embed_tokenizer(model);
    const sqz_tokenize_options options = {.max_length = model->info.max_length};
    sqz_encoding *encoding = NULL;
    *s = begin_sequences(model, true);
    TRY(sqz_encoding_open(model->context, &encoding, error));
    for (size_t i = 0; i < n && sqzi_sequences_tokens(s) < most; i++) {
        TRY(sqz_tokenize(tokenizer, texts[i], NULL, &options, encoding, error));
        const uint32_t pieces = sqz_encoding_first(encoding, 1);
        for (uint32_t p = 0; p < pieces; p++)
            FAIL_IF(sqz_encoding_ids(encoding)[p] >= model->info.vocabulary, SQZ_ETOKEN, i,
                    "text %zu to calibrate on holds a piece with the number %u, the model embeds "
                    "%u",
                    i, sqz_encoding_ids(encoding)[p], model->info.vocabulary);
        if (!own_pieces(encoding, pieces)) continue;
        TRY(add_sequence(s, sqz_encoding_ids(encoding), pieces, error));
        s->n_cut += sqz_encoding_cut(encoding) > 0;
    }
    FAIL_IF(sqzi_sequences_tokens(s) < SQZI_CALIBRATION_LEAST, SQZ_EFORMAT, 0,
            "%u texts to calibrate on have %u pieces in all, at least %d are needed: give more "
            "texts, of the kind that the model will read",
            s->n, sqzi_sequences_tokens(s), SQZI_CALIBRATION_LEAST);
    TRY(end_sequences(s, error));
fail:
    sqz_encoding_close(encoding);
    return status;
}

sqz_status sqzi_sequences_of_texts(const sqz_model *model, const sqz_text *texts, size_t n,
                                   sqzi_sequences *s, sqz_error *error)
{
    return sqzi_sequences_up_to(model, texts, n, SQZI_CALIBRATION_MOST, s, error);
}

sqz_status sqzi_sequences_behind(const sqz_model *model, const sqz_text *texts, size_t n,
                                 size_t used, uint32_t most, sqzi_sequences *sequences,
                                 sqz_error *error)
{
    sqz_error too_few = {0};
    const sqz_status status = sqzi_sequences_up_to(model, texts + used, n - used, most, sequences,
                                                   &too_few);
    if (status == SQZ_EFORMAT) {
        sqzi_sequences_discard(sequences);
        return sqzi_sequences_up_to(model, texts, n, most, sequences, error);
    }
    if (status != SQZ_OK && error) *error = too_few;
    return status;
}
