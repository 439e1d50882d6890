/* SPDX-License-Identifier: Apache-2.0 */
#include "support/tiny_encoder.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "nn/pack.h"
#include "support/test.h"

/* Aligned, zeroed, freed with the encoder. */
static void *take(sqzt_encoder *e, size_t n, size_t item)
{
    assert_true(e->n_memory < sizeof e->memory / sizeof *e->memory);
    const size_t bytes = (n * item + SQZI_ALIGNMENT) / SQZI_ALIGNMENT * SQZI_ALIGNMENT;
    void *memory = aligned_alloc(SQZI_ALIGNMENT, bytes);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    return e->memory[e->n_memory++] = memory;
}

/* A tensor's masters, drawn, and its gradient. */
static sqzi_real *draw(sqzt_encoder *e, const char *name, size_t n, double deviation, double offset,
                       sqzi_real **master, sqzi_real **grad)
{
    assert_true(e->n_tensors < SQZT_MOST_TENSORS);
    sqzt_tensor *tensor = &e->tensors[e->n_tensors++];
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    tensor->n = n;
    tensor->grad_at = grad;
    tensor->master = *master = take(e, n, sizeof **master);
    tensor->grad = *grad = take(e, n, sizeof **grad);
    for (size_t i = 0; i < n; i++)
        tensor->master[i] = (sqzi_real)(float)(offset + deviation * sqzt_normal(&e->random));
    return *master;
}

static void name_of(char *full, const char *name, const char *ending)
{
    snprintf(full, SQZI_TENSOR_NAME, "%s%s", name, ending);
}

static uint32_t *shuffled(sqzt_encoder *e, uint32_t n, uint32_t part)
{
    uint32_t *order = take(e, n, sizeof *order);
    if (!part) part = n;
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        const uint32_t first = i / part * part,
                       j = first + (uint32_t)sqzt_below(&e->random, i - first + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    return order;
}

static bool keeps_groups(const uint32_t *order, uint32_t n, uint32_t groups)
{
    for (uint32_t i = 0; i < n; i++)
        if (order[i] / (n / groups) != i / (n / groups)) return false;
    return true;
}

static sqzi_matrix matrix_of(sqzt_encoder *e, uint32_t n_in, uint32_t n_out, uint32_t groups)
{
    sqzi_matrix matrix = sqzi_matrix_of(e->gemm, n_in, n_out, groups);
    matrix.packed = take(e, sqzi_matrix_bytes(&matrix), 1);
    return matrix;
}

typedef struct shape {
    uint32_t n_in, n_out, groups, rank, factor_groups;
    bool whole, bias;
} shape;

static shape dense_of(uint32_t n_in, uint32_t n_out)
{
    return (shape){.n_in = n_in, .n_out = n_out, .groups = 1, .whole = true, .bias = true};
}

/* What reads the inputs takes them as packed, or by a gather. */
static void read_inputs(sqzi_matrix *first, const uint32_t *in)
{
    if (!in) return;
    if (keeps_groups(in, first->n_in, first->groups)) first->packing.in = in;
    else first->gather = in;
}

/* Of a matrix whose outputs are sums of n products: as large as its inputs. */
static double spread(uint32_t n)
{
    return 1 / sqrt((double)n);
}

static void make_linear(sqzt_encoder *e, const char *name, shape s, const uint32_t *in,
                        const uint32_t *out, sqzi_linear *linear, sqzi_linear_numbers *masters,
                        sqzi_linear_numbers *grads)
{
    char full[SQZI_TENSOR_NAME];
    *linear = (sqzi_linear){
        .n_in = s.n_in, .n_out = s.n_out, .in = in, .out = out, .kernels = &e->kernels};
    const bool placed = out && (!s.whole || keeps_groups(out, s.n_out, s.groups)) &&
                        (!s.rank || keeps_groups(out, s.n_out, s.factor_groups));
    if (out && !placed) {
        uint32_t *from = take(e, s.n_out, sizeof *from);
        for (uint32_t j = 0; j < s.n_out; j++) from[out[j]] = j;
        linear->from = from;
    }
    if (s.whole) {
        const uint32_t t = linear->n_terms++;
        sqzi_matrix *b = &linear->terms[t].b;
        *b = matrix_of(e, s.n_in, s.n_out, s.groups);
        if (placed) b->packing.out = out;
        read_inputs(b, in);
        name_of(full, name, ".weight");
        draw(e, full, (size_t)s.n_out * s.n_in / s.groups, spread(s.n_in / s.groups), 0,
             &masters->terms[t].b, &grads->terms[t].b);
    }
    if (s.rank) {
        const uint32_t t = linear->n_terms++, middle = s.rank * s.factor_groups;
        sqzi_term *term = &linear->terms[t];
        term->a = matrix_of(e, s.n_in, middle, s.factor_groups);
        term->b = matrix_of(e, middle, s.n_out, s.factor_groups);
        if (placed) term->b.packing.out = out;
        read_inputs(&term->a, in);
        name_of(full, name, ".a");
        draw(e, full, (size_t)middle * s.n_in / s.factor_groups, spread(s.n_in / s.factor_groups),
             0, &masters->terms[t].a, &grads->terms[t].a);
        name_of(full, name, ".b");
        draw(e, full, (size_t)s.n_out * s.rank, spread(s.rank), 0, &masters->terms[t].b,
             &grads->terms[t].b);
    }
    name_of(full, name, ".bias");
    if (s.bias) linear->bias = draw(e, full, s.n_out, 0.1, 0, &masters->bias, &grads->bias);
}

static void make_dense(sqzt_encoder *e, const char *name, uint32_t n_in, uint32_t n_out,
                       sqzi_linear *linear, sqzi_linear_numbers *masters,
                       sqzi_linear_numbers *grads)
{
    make_linear(e, name, dense_of(n_in, n_out), NULL, NULL, linear, masters, grads);
}

static void make_norm(sqzt_encoder *e, const char *name, uint32_t n, sqzi_norm *norm,
                      sqzi_norm_numbers *masters, sqzi_norm_numbers *grads)
{
    char full[SQZI_TENSOR_NAME];
    *norm = (sqzi_norm){.n = n, .epsilon = (sqzi_real)1e-12};
    name_of(full, name, ".weight");
    norm->weight = draw(e, full, n, 0.1, 1, &masters->weight, &grads->weight);
    name_of(full, name, ".bias");
    norm->bias = draw(e, full, n, 0.1, 0, &masters->bias, &grads->bias);
}

static void make_table(sqzt_encoder *e, const char *name, uint32_t rows, uint32_t width,
                       sqzi_table *table, sqzi_real **master, sqzi_real **grad)
{
    *table = (sqzi_table){.type = SQZI_F32, .n_rows = rows, .width = width};
    table->rows = draw(e, name, (size_t)rows * width, 0.4, 0, master, grad);
}

static uint32_t or_one(uint32_t n)
{
    return n ? n : 1;
}

static void make_block(sqzt_encoder *e, const sqzt_tiny *t, uint32_t i)
{
    sqzi_block *block = &e->encoder.blocks[i];
    const bool last = i + 1 == t->blocks;
    const uint32_t *previous_out = NULL;
    char name[SQZI_TENSOR_NAME - 8];
    *block = (sqzi_block){.heads = t->heads,
                          .head_width = t->head_width,
                          .ffn_width = last && t->last_ffn_width ? t->last_ffn_width : t->ffn_width,
                          .activation = i % 2 ? SQZK_GELU_TANH : SQZK_GELU};
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        shape s = {.groups = or_one(j == 0 && last && t->last_groups ? t->last_groups
                                                                     : t->groups[j]),
                   .rank = t->rank,
                   .factor_groups = or_one(t->factor_groups),
                   .whole = !t->rank || t->sum,
                   .bias = true};
        sqzi_block_linear_sides(block, t->width, j, &s.n_in, &s.n_out);
        const uint32_t *in = NULL, *out = NULL;
        if (t->permuted) {
            in = j == SQZI_FFN_DOWN && t->same_inner ? previous_out : shuffled(e, s.n_in, t->kept);
            out = shuffled(e, s.n_out, t->kept);
        }
        snprintf(name, sizeof name, "blk.%u.%s", (unsigned)i, sqzi_block_linear_name(j));
        make_linear(e, name, s, in, out, sqzi_block_linear(block, j),
                    &e->masters.blocks[i].linears[j], &e->grads.blocks[i].linears[j]);
        previous_out = out;
    }
    snprintf(name, sizeof name, "blk.%u.attn_output_norm", (unsigned)i);
    make_norm(e, name, t->width, &block->attn_norm, &e->masters.blocks[i].attn_norm,
              &e->grads.blocks[i].attn_norm);
    snprintf(name, sizeof name, "blk.%u.layer_output_norm", (unsigned)i);
    make_norm(e, name, t->width, &block->ffn_norm, &e->masters.blocks[i].ffn_norm,
              &e->grads.blocks[i].ffn_norm);
}

static void make_embedding(sqzt_encoder *e, const sqzt_tiny *t)
{
    sqzi_embedding *embedding = &e->encoder.embedding;
    sqzi_embedding_numbers *m = &e->masters.embedding, *g = &e->grads.embedding;
    const uint32_t width = t->embedding_width;
    embedding->width = width;
    embedding->bare = t->bare;
    embedding->factorised = t->factorised > 0;
    embedding->projected = width != t->width;
    make_table(e, "token_embd.weight", SQZT_TINY_VOCABULARY, t->factorised ? t->factorised : width,
               &embedding->word, &m->word, &g->word);
    if (t->factorised) {
        shape s = dense_of(t->factorised, width);
        s.bias = false;
        make_linear(e, "token_embd.projection", s, NULL, NULL, &embedding->factor, &m->factor,
                    &g->factor);
    }
    if (!t->bare)
        make_table(e, "position_embd.weight", t->positions, width, &embedding->position,
                   &m->position, &g->position);
    if (t->token_types)
        make_table(e, "token_types.weight", t->token_types, width, &embedding->type, &m->type,
                   &g->type);
    if (!t->bare) make_norm(e, "token_embd_norm", width, &embedding->norm, &m->norm, &g->norm);
    if (embedding->projected)
        make_dense(e, "embd_output", width, t->width, &embedding->projection, &m->projection,
                   &g->projection);
}

static sqz_pooling pool_of(const char *word)
{
    static const struct {
        const char *word;
        sqz_pooling pool;
    } pools[] = {{"mean", SQZ_POOLING_MEAN},
                 {"max", SQZ_POOLING_MAX},
                 {"cls", SQZ_POOLING_CLS},
                 {"last", SQZ_POOLING_LAST},
                 {"pooler", SQZ_POOLING_POOLER},
                 {"mean_sqrt_len", SQZ_POOLING_MEAN_SQRT_LEN},
                 {"weighted_mean", SQZ_POOLING_WEIGHTED_MEAN}};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        if (strcmp(pools[i].word, word) == 0) return pools[i].pool;
    fail_msg("no pooling is called %s", word);
    return SQZ_POOLING_NONE;
}

static void make_steps(sqzt_encoder *e, const sqzt_tiny *t)
{
    sqzi_head *head = &e->head;
    uint32_t width = t->width;
    char name[SQZI_TENSOR_NAME - 8];
    for (uint32_t i = 0; i < 6 && t->steps[i]; i++) {
        sqzi_embed_step *step = &head->steps[head->n_steps++];
        snprintf(name, sizeof name, "embd_step.%u", (unsigned)i);
        if (strcmp(t->steps[i], "normalize") == 0) step->kind = SQZI_STEP_NORMALIZE;
        else if (strcmp(t->steps[i], "norm") == 0) {
            step->kind = SQZI_STEP_NORM;
            make_norm(e, name, width, &step->norm, &e->head_masters.step_norms[i],
                      &e->head_grads.step_norms[i]);
        } else {
            step->kind = SQZI_STEP_DENSE;
            step->activation = strcmp(t->steps[i], "dense_tanh") == 0   ? SQZK_TANH
                               : strcmp(t->steps[i], "dense_gelu") == 0 ? SQZK_GELU
                                                                        : SQZK_IDENTITY;
            make_dense(e, name, width, t->step_width, &step->dense, &e->head_masters.steps[i],
                       &e->head_grads.steps[i]);
            width = t->step_width;
        }
        step->n_out = width;
    }
    head->embedding_width = width;
}

/* Dense, norm, and a decoder that is the table of words, with its factor's transpose before it. */
static void make_masked_lm(sqzt_encoder *e, const sqzt_tiny *t)
{
    sqzi_head *head = &e->head;
    const sqzi_table *word = &e->encoder.embedding.word;
    head->tied = head->has_dense = head->has_norm = true;
    head->classes = SQZT_TINY_VOCABULARY;
    head->activation = SQZK_GELU;
    make_dense(e, "head.dense", t->width, t->embedding_width, &head->dense, &e->head_masters.dense,
               &e->head_grads.dense);
    make_norm(e, "head.norm", t->embedding_width, &head->norm, &e->head_masters.norm,
              &e->head_grads.norm);
    head->factorised = t->factorised > 0;
    if (head->factorised) {
        head->factor = (sqzi_linear){
            .n_in = t->embedding_width, .n_out = word->width, .n_terms = 1, .kernels = &e->kernels};
        head->factor.terms[0].b = matrix_of(e, t->embedding_width, word->width, 1);
        head->factor.terms[0].b.packing.transposed = true;
    }
    head->output = (sqzi_linear){
        .n_in = word->width, .n_out = SQZT_TINY_VOCABULARY, .n_terms = 1, .kernels = &e->kernels};
    head->output.terms[0].b = matrix_of(e, word->width, SQZT_TINY_VOCABULARY, 1);
    head->output.bias = draw(e, "head.output.bias", SQZT_TINY_VOCABULARY, 0.1, 0,
                             &e->head_masters.output.bias, &e->head_grads.output.bias);
}

static sqz_head_kind kind_of(const char *word)
{
    static const struct {
        const char *word;
        sqz_head_kind kind;
    } kinds[] = {{"sequence", SQZ_HEAD_SEQUENCE},
                 {"token", SQZ_HEAD_TOKEN},
                 {"question", SQZ_HEAD_QUESTION},
                 {"masked_lm", SQZ_HEAD_MASKED_LM},
                 {"multiple_choice", SQZ_HEAD_MULTIPLE_CHOICE}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].word, word) == 0) return kinds[i].kind;
    fail_msg("no head is called %s", word);
    return SQZ_HEAD_NONE;
}

static void make_head(sqzt_encoder *e, const sqzt_tiny *t)
{
    sqzi_head *head = &e->head;
    head->width = t->width;
    head->pooling = SQZ_POOLING_NONE;
    e->embeds = !t->head;
    if (!t->head) head->pooling = t->embed_pool ? pool_of(t->embed_pool) : SQZ_POOLING_MEAN;
    else if (strcmp(t->head, "sequence") == 0 || strcmp(t->head, "multiple_choice") == 0)
        head->pooling = t->pool ? pool_of(t->pool) : SQZ_POOLING_POOLER;
    head->has_pooler = head->pooling == SQZ_POOLING_POOLER;
    if (head->has_pooler)
        make_dense(e, "pooler", t->width, t->width, &head->pooler, &e->head_masters.pooler,
                   &e->head_grads.pooler);
    if (!t->head) {
        make_steps(e, t);
        return;
    }
    head->kind = kind_of(t->head);
    if (head->kind == SQZ_HEAD_MASKED_LM) {
        make_masked_lm(e, t);
        return;
    }
    head->classes = t->classes;
    head->has_dense = t->head_dense;
    head->activation = t->head_activation ? (sqzk_activation)t->head_activation : SQZK_TANH;
    if (head->has_dense)
        make_dense(e, "head.dense", t->width, t->width, &head->dense, &e->head_masters.dense,
                   &e->head_grads.dense);
    make_dense(e, "head.output", t->width, t->classes, &head->output, &e->head_masters.output,
               &e->head_grads.output);
}

void sqzt_encoder_make(sqzt_encoder *e, const sqzt_tiny *tiny, uint32_t features, sqzi_type type)
{
    memset(e, 0, sizeof *e);
    e->random = sqzt_random_of(tiny->seed);
    sqzk_table_init(&e->kernels, features);
    e->gemm = type == SQZI_BF16 ? e->kernels.gemm_bf16 : e->kernels.gemm_f32;
    e->encoder = (sqzi_encoder){.kernels = &e->kernels,
                                .n_blocks = tiny->blocks,
                                .width = tiny->width,
                                .max_positions = tiny->positions};
    e->encoder.blocks = take(e, tiny->blocks, sizeof *e->encoder.blocks);
    e->masters.blocks = take(e, tiny->blocks, sizeof *e->masters.blocks);
    e->grads.blocks = take(e, tiny->blocks, sizeof *e->grads.blocks);
    make_embedding(e, tiny);
    for (uint32_t i = 0; i < tiny->blocks; i++) make_block(e, tiny, i);
    make_head(e, tiny);
    sqzt_encoder_pack(e);
}

void sqzt_encoder_free(sqzt_encoder *e)
{
    for (uint32_t i = 0; i < e->n_memory; i++) free(e->memory[i]);
}
