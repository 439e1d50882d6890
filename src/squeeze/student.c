/* SPDX-License-Identifier: Apache-2.0 */
/* Counts by hand and random parts. */
#include "squeeze/student.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "data/normal_numbers.h"
#include "squeeze/neurons.h"

/* ---- options by themselves ---- */

static bool take_word(sqzi_student *s, const char *word, size_t n)
{
    static const struct {
        const char *name;
        bool embedding, attention, feed_forward;
    } words[] = {{"embedding", true, false, false},
                 {"attention", false, true, false},
                 {"feed_forward", false, false, true},
                 {"blocks", false, true, true},
                 {"all", true, true, true}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].name) != n || memcmp(words[i].name, word, n) != 0) continue;
        s->embedding |= words[i].embedding;
        s->attention |= words[i].attention;
        s->feed_forward |= words[i].feed_forward;
        return true;
    }
    return false;
}

static sqz_status read_random(sqzi_student *s, sqz_error *error)
{
    for (const char *at = s->options->random; at;) {
        const char *comma = strchr(at, ',');
        const size_t n = comma ? (size_t)(comma - at) : strlen(at);
        if (!take_word(s, at, n))
            return sqzi_fail(error, SQZ_EINVAL, 0,
                             "random: '%.*s' is no part: embedding, attention, feed_forward, "
                             "blocks and all are",
                             (int)(n < 60 ? n : 60), at);
        at = comma ? comma + 1 : NULL;
    }
    return SQZ_OK;
}

static sqz_status check_floats(const sqz_squeeze_options *o, sqz_error *error)
{
    const char *const what = o->bits                                 ? "bits"
                             : o->embedding_bits                     ? "bits of the embedding"
                             : o->position_bits                      ? "bits of positions"
                             : o->budget                             ? "a budget"
                             : o->embedding == SQZ_EMBEDDING_PRODUCT ? "product quantisation"
                                                                     : NULL;
    if (!what) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, 0,
                     "%s: a student is floats, so that it can be taught: squeeze what comes out of "
                     "its training",
                     what);
}

sqz_status sqzi_student_settle(const sqz_student_options *o, sqzi_student *s, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_squeeze_options *l = &o->levers;
    *s = (sqzi_student){.options = o};
    TRY(read_random(s, error));
    TRY(check_floats(l, error));
    FAIL_IF(l->time != 0, SQZ_EINVAL, 0,
            "time: a student's layers, heads and neurons are named, not chosen");
    if (o->width) s->embedding = s->attention = s->feed_forward = true;
    FAIL_IF((o->heads && l->heads > 0) || (o->neurons && l->neurons > 0), SQZ_EINVAL, 0,
            "heads, neurons: a number or a share, not both");
    FAIL_IF((s->attention && l->heads > 0) || (s->feed_forward && l->neurons > 0), SQZ_EINVAL, 0,
            "%s: a share is of what the teacher has, and these are random: say a number",
            l->heads > 0 ? "heads" : "neurons");
    FAIL_IF((l->rank > 0 || l->ranks) && (s->attention || s->feed_forward), SQZ_EINVAL, 0,
            "rank: factors are found for the teacher's linears, and some are random here");
    status = sqzi_squeeze_check_alone(l, error); /* also levers of what is random */
fail:
    return status;
}

sqz_squeeze_options sqzi_student_levers(const sqzi_student *s)
{
    sqz_squeeze_options levers = s->options->levers;
    if (s->attention && s->feed_forward) levers.groups = 0, levers.dense_output = 0;
    if (s->embedding) {
        levers.embedding = SQZ_EMBEDDING_KEEP;
        levers.embedding_size = 0;
    }
    if (s->embedding || s->attention || s->feed_forward) levers.no_fidelity = 1;
    return levers;
}

/* ---- counts ---- */

static sqz_status plan_heads(const sqzi_student *s, const sqzi_block *from, sqzi_block_plan *b,
                             sqz_error *error)
{
    const uint32_t asked = s->options->heads, of = s->options->width ? s->width : from->heads,
                   heads = asked               ? asked
                           : s->options->width ? s->width / from->head_width
                                               : from->heads;
    if (!s->attention) {
        if (heads > from->heads)
            return sqzi_fail(error, SQZ_EINVAL, 0,
                             "heads: block %u of the teacher has %u, %u are more: they can only be "
                             "random (attention)",
                             b->source, from->heads, heads);
        b->heads = heads;
        return SQZ_OK;
    }
    if (asked ? s->width % heads != 0 : of % (s->options->width ? from->head_width : 1) != 0)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "heads: a width of %u is no multiple of %u%s; say heads that divide it",
                         s->width, asked ? heads : from->head_width,
                         asked ? "" : ", the width of the teacher's heads");
    return SQZ_OK;
}

static sqz_status plan_neurons(const sqzi_student *s, const sqzi_block *from, sqzi_block_plan *b,
                               sqz_error *error)
{
    const uint32_t asked = s->options->neurons, most = from->ffn_width;
    if (s->feed_forward || !asked) return SQZ_OK;
    if (asked > most || (asked != most && asked % SQZI_NEURONS_MULTIPLE))
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "neurons: block %u of the teacher has %u; %u of them can stay where they "
                         "are fewer and a multiple of %d; random ones (feed_forward) can be any "
                         "number",
                         b->source, most, asked, SQZI_NEURONS_MULTIPLE);
    b->neurons = asked;
    return SQZ_OK;
}

/* What is random no lever looks at. */
static void leave_linears(sqzi_block_plan *b, uint32_t from, uint32_t to)
{
    for (uint32_t j = from; j <= to; j++)
        b->linears[j] = (sqzi_linear_plan){.groups = 1, .storage = SQZI_STORED_F32};
}

static sqz_status check_embedding(sqzi_student *s, const sqz_model *model, sqz_error *error)
{
    const sqz_squeeze_options *l = &s->options->levers;
    const uint32_t width = s->reshaped ? s->width : model->encoder.embedding.width;
    if (!s->embedding || l->embedding != SQZ_EMBEDDING_WIDTH) return SQZ_OK;
    s->embedding_size = l->embedding_size;
    if (l->embedding_size > 0 && l->embedding_size < width) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, 0, "embedding: a width of %u is not below the table's %u",
                     l->embedding_size, width);
}

sqz_status sqzi_student_plan(sqzi_student *s, const sqz_model *model, sqzi_squeeze_plan *plan,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    s->width = s->options->width ? s->options->width : model->encoder.width;
    s->reshaped = s->width != model->encoder.width;
    FAIL_IF(s->width > SQZI_MAX_WIDTH || s->options->neurons > SQZI_MAX_WIDTH, SQZ_EINVAL, 0,
            "width, neurons: %d are possible", SQZI_MAX_WIDTH);
    TRY(check_embedding(s, model, error));
    for (uint32_t i = 0; i < plan->n_blocks; i++) {
        sqzi_block_plan *b = &plan->blocks[i];
        const sqzi_block *from = &model->encoder.blocks[b->source];
        TRY(plan_heads(s, from, b, error));
        TRY(plan_neurons(s, from, b, error));
        if (s->attention) leave_linears(b, SQZI_ATTN_Q, SQZI_ATTN_OUTPUT);
        if (s->feed_forward) leave_linears(b, SQZI_FFN_UP, SQZI_FFN_DOWN);
    }
fail:
    return status;
}

/* ---- random parts ---- */

typedef struct filling {
    const sqzi_student *student;
    sqzi_weights *weights;
} filling;

/* Streams: a block and one of its linears, or a table. */
enum { STUDENTS = 0x73747564, TABLES = 0x10000, WORDS = 0, FACTOR, POSITIONS, TYPES, PROJECTION };

static sqz_status fill_matrix(const filling *f, uint32_t stream, uint32_t rows, uint32_t columns,
                              uint32_t groups, sqzi_weight_matrix *matrix, sqz_error *error)
{
    const sqz_status status = sqzi_weight_matrix_make(f->weights, rows, columns, groups, matrix,
                                                      error);
    if (status != SQZ_OK) return status;
    for (size_t i = 0; i < (size_t)rows * columns; i++)
        matrix->values[i] = (float)sqzi_normal_number(0.02, f->student->options->seed,
                                                      (uint64_t)stream << 32 | STUDENTS, i);
    return SQZ_OK;
}

static sqz_status fill_linear(const filling *f, uint32_t stream, uint32_t n_in, uint32_t n_out,
                              uint32_t groups, sqzi_weight_linear *linear, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(n_in % groups || n_out % groups, SQZ_EINVAL, 0,
            "groups: %u do not divide %u inputs and %u outputs of random linears", groups, n_in,
            n_out);
    sqzi_weight_linear_drop(f->weights, linear);
    linear->n_in = n_in;
    linear->n_out = n_out;
    linear->n_terms = 1;
    TRY(fill_matrix(f, stream, n_out, n_in / groups, groups, &linear->terms[0].b, error));
    TRY(sqzi_weight_linear_add_bias(f->weights, linear, error));
fail:
    return status;
}

static sqz_status fill_attention(const filling *f, uint32_t i, uint32_t groups, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_student *s = f->student;
    sqzi_weight_block *b = &f->weights->blocks[i];
    if (s->options->heads) {
        b->heads = s->options->heads;
        b->head_width = s->width / b->heads;
    } else if (s->options->width) b->heads = s->width / b->head_width;
    const uint32_t inner = b->heads * b->head_width,
                   of_output = s->options->levers.dense_output ? 1 : groups;
    for (uint32_t j = SQZI_ATTN_Q; j <= SQZI_ATTN_V; j++)
        TRY(fill_linear(f, 8 * i + j, s->width, inner, groups, &b->linears[j], error));
    TRY(fill_linear(f, 8 * i + SQZI_ATTN_OUTPUT, inner, s->width, of_output,
                    &b->linears[SQZI_ATTN_OUTPUT], error));
    b->new_attention = true;
fail:
    return status;
}

static sqz_status fill_feed_forward(const filling *f, uint32_t i, uint32_t groups, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_student *s = f->student;
    sqzi_weight_block *b = &f->weights->blocks[i];
    if (s->options->neurons) b->ffn_width = s->options->neurons;
    else if (s->options->width) b->ffn_width = 4 * s->width;
    TRY(fill_linear(f, 8 * i + SQZI_FFN_UP, s->width, b->ffn_width, groups,
                    &b->linears[SQZI_FFN_UP], error));
    TRY(fill_linear(f, 8 * i + SQZI_FFN_DOWN, b->ffn_width, s->width, groups,
                    &b->linears[SQZI_FFN_DOWN], error));
    b->new_feed_forward = true;
fail:
    return status;
}

static sqz_status fill_table(const filling *f, uint32_t table, uint32_t columns,
                             sqzi_weight_matrix *matrix, sqz_error *error)
{
    return matrix->rows ? fill_matrix(f, TABLES + table, matrix->rows, columns, 1, matrix, error)
                        : SQZ_OK;
}

static sqz_status fill_embedding(const filling *f, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_student *s = f->student;
    sqzi_weights *w = f->weights;
    const uint32_t width = w->embedding_width, k = s->embedding_size;
    TRY(fill_table(f, WORDS, k ? k : width, &w->word, error));
    sqzi_weight_matrix_drop(w, &w->factor);
    if (k) TRY(fill_matrix(f, TABLES + FACTOR, width, k, 1, &w->factor, error));
    TRY(fill_table(f, POSITIONS, width, &w->position, error));
    TRY(fill_table(f, TYPES, width, &w->type, error));
    if (s->reshaped) sqzi_weight_linear_drop(w, &w->projection);
    else if (w->projection.n_terms)
        TRY(fill_linear(f, TABLES + PROJECTION, width, s->width, 1, &w->projection, error));
    w->new_embedding = true;
fail:
    return status;
}

static sqz_status make_ones(sqzi_weights *w, sqz_error *error)
{
    const uint32_t n = w->width > w->embedding_width ? w->width : w->embedding_width;
    w->ones = sqzi_allocate_zeroed(&w->model->context->allocator, (size_t)2 * n, sizeof *w->ones);
    if (!w->ones) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for norms of %u numbers", n);
    w->n_ones = n;
    for (uint32_t i = 0; i < n; i++) w->ones[i] = 1;
    return SQZ_OK;
}

sqz_status sqzi_student_fill(const sqzi_student *s, sqzi_weights *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const filling f = {s, w};
    const uint32_t asked = s->options->levers.groups, groups = asked ? asked : 1;
    if (!s->embedding && !s->attention && !s->feed_forward) return SQZ_OK;
    if (s->reshaped) {
        w->reshaped = true;
        w->width = w->embedding_width = s->width;
        for (uint32_t i = 0; i < w->n_others; i++) sqzi_weight_linear_drop(w, &w->others[i].linear);
    }
    TRY(make_ones(w, error));
    if (s->embedding) TRY(fill_embedding(&f, error));
    for (uint32_t i = 0; i < w->n_blocks; i++) {
        if (s->attention) TRY(fill_attention(&f, i, groups, error));
        if (s->feed_forward) TRY(fill_feed_forward(&f, i, groups, error));
    }
fail:
    return status;
}
