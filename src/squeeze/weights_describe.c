/* SPDX-License-Identifier: Apache-2.0 */
/* The description of the blocks as they are now; all other metadata as the model has them. */
#include "squeeze/weights_describe.h"

#include <stdio.h>

#include "base/error.h"
#include "model/words.h"
#include "squeeze/vocabulary_pruning.h"

static bool ends_with(sqzi_span text, const char *suffix)
{
    const size_t n = strlen(suffix);
    return text.n >= n && memcmp(text.bytes + text.n - n, suffix, n) == 0;
}

/* NAME is "PREFIX.something" */
static bool is_part_of(sqzi_span name, const char *prefix)
{
    const size_t n = strlen(prefix);
    return sqzi_span_begins(name, prefix) && name.n > n && name.bytes[n] == '.';
}

bool sqzi_weights_carry(const sqzi_weights *w, uint32_t i)
{
    static const char *const held[] = {"token_embd.",  "position_embd.", "token_types.",
                                       "embd_output.", "blk.",           "verify."};
    const sqzi_span name = sqzi_gguf_tensor_at(w->model->gguf, i)->name;
    for (size_t j = 0; j < sizeof held / sizeof *held; j++)
        if (sqzi_span_begins(name, held[j])) return false;
    for (uint32_t j = 0; j < w->n_others; j++)
        if (is_part_of(name, w->others[j].name)) return false;
    return !w->reshaped || sqzi_weights_is_new_norm(w, name);
}

bool sqzi_weights_is_new_norm(const sqzi_weights *w, sqzi_span name)
{
    return w->new_embedding && sqzi_span_begins(name, "token_embd_norm.");
}

/* What depends on the width, or stands behind the blocks. */
static bool is_of_shape(sqzi_span key)
{
    static const char *const keys[] = {"sqz.width", "sqz.embedding.width", "sqz.dimensions",
                                       "sqz.embed.steps", "sqz.pool"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (sqzi_span_is(key, keys[i])) return true;
    return sqzi_span_begins(key, "sqz.head.") || sqzi_span_begins(key, "sqz.permutation.");
}

/* What a static table has no use for, or decides itself. */
static bool is_of_sequences(sqzi_span key)
{
    static const char *const keys[] = {"sqz.embedding.norm_epsilon", "sqz.token_types",
                                       "sqz.normalize", "sqz.similarity", "sqz.include_prompt"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (sqzi_span_is(key, keys[i])) return true;
    return sqzi_span_begins(key, "sqz.prompts.");
}

/* sqzi_rewrite_leaves_out */
static bool is_described(const void *user, sqzi_span key)
{
    const sqzi_weights *w = user;
    if (w && w->kept_words && sqzi_vocabulary_describes(key)) return true;
    if (w && w->new_logits && sqzi_is_of_scores(key)) return true;
    if (w && w->reshaped && is_of_shape(key)) return true;
    if (w && w->reshaped && sqzi_weights_are_bare(w) && is_of_sequences(key)) return true;
    return sqzi_span_is(key, "sqz.requires") || sqzi_span_is(key, "sqz.blocks") ||
           sqzi_span_is(key, "sqz.embedding.factor") || sqzi_span_begins(key, "sqz.block.") ||
           sqzi_span_begins(key, "sqz.permutation.blk.");
}

/* ---- features ---- */

/* Those that come and go with the form of weights, in the order in which they are written. */
enum {
    GROUPS,
    LOW_RANK,
    SUM,
    PERMUTATION,
    REDUCED_EMBEDDING,
    S8,
    S4,
    S3,
    S2,
    BF16,
    PRODUCT_QUANTISED,
    BARE_EMBEDDING,
    FEATURES
};
static const char *const feature_names[FEATURES] = {
    "groups", "low_rank", "sum", "permutation", "reduced_embedding", "s8",
    "s4",     "s3",       "s2",  "bf16",        "product_quantised", "bare_embedding"};

static void see_matrix(const sqzi_weight_matrix *m, bool *has)
{
    if (m->rows && m->storage != SQZI_STORED_F32) has[S8 + (m->storage - SQZI_STORED_S8)] = true;
}

static void see_linear(const sqzi_weight_linear *linear, bool *has)
{
    has[SUM] |= linear->n_terms > 1;
    has[PERMUTATION] |= linear->in || linear->out;
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const sqzi_weight_term *term = &linear->terms[t];
        has[LOW_RANK] |= term->a.rows > 0;
        has[GROUPS] |= term->b.groups > 1;
        see_matrix(&term->a, has);
        see_matrix(&term->b, has);
    }
}

static void see_carried(const sqzi_weights *w, bool *has)
{
    const sqz_model *model = w->model;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(model->gguf, i);
        if (!sqzi_weights_carry(w, i)) continue;
        uint32_t packed = S4;
        while (packed <= S2 && !ends_with(t->name, feature_names[packed])) packed++;
        if (t->type == SQZI_S8) has[packed <= S2 ? packed : (uint32_t)S8] = true;
        has[BF16] |= t->type == SQZI_BF16;
        has[LOW_RANK] |= t->name.n > 2 && memcmp(t->name.bytes + t->name.n - 2, ".a", 2) == 0;
    }
    for (uint32_t i = 0; i < sqzi_gguf_n_values(model->gguf); i++) {
        const sqzi_span key = sqzi_gguf_value_at(model->gguf, i)->key;
        has[PERMUTATION] |= sqzi_span_begins(key, "sqz.permutation.") && !is_described(NULL, key);
    }
}

static void find_features(const sqzi_weights *w, bool *has)
{
    const sqzi_weight_matrix *const tables[] = {&w->word, &w->factor, &w->position, &w->type};
    has[REDUCED_EMBEDDING] = w->factor.rows > 0;
    has[PRODUCT_QUANTISED] = w->product.parts > 0;
    has[BARE_EMBEDDING] = sqzi_weights_are_bare(w);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) see_matrix(tables[i], has);
    see_linear(&w->projection, has);
    for (uint32_t i = 0; i < w->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) see_linear(&w->blocks[i].linears[j], has);
    for (uint32_t i = 0; i < w->n_others; i++) see_linear(&w->others[i].linear, has);
    see_carried(w, has);
}

static bool is_of_weights(sqzi_span feature)
{
    for (uint32_t i = 0; i < FEATURES; i++)
        if (sqzi_span_is(feature, feature_names[i])) return true;
    return false;
}

/* The model's that say nothing of weights stay. */
static void put_requires(const sqzi_weights *w, sqzi_gguf_writer *writer)
{
    enum { MOST = 64 }; /* opening the model has refused all that it does not know */
    bool has[FEATURES] = {false};
    sqzi_span features[MOST + FEATURES];
    size_t n = 0;
    const sqzi_gguf_value *value = sqzi_gguf_find(w->model->gguf, "sqz.requires");
    const unsigned char *at = value ? value->data : NULL;
    for (uint64_t i = 0; value && i < value->n && n < MOST; i++) {
        const sqzi_span feature = sqzi_gguf_next_string(&at);
        if (!is_of_weights(feature)) features[n++] = feature;
    }
    find_features(w, has);
    for (uint32_t i = 0; i < FEATURES; i++)
        if (has[i]) features[n++] = sqzi_span_of(feature_names[i]);
    if (n) sqzi_gguf_put_strings(writer, "sqz.requires", features, n);
}

/* ---- blocks ---- */

/* Room for one value a block. */
typedef struct per_block {
    const sqzi_weights *weights;
    sqzi_gguf_writer *writer;
    uint32_t *numbers;
    double *reals;
    sqzi_span *strings;
} per_block;

static void put_sizes(const per_block *p, const char *key, size_t at)
{
    for (uint32_t i = 0; i < p->weights->n_blocks; i++)
        memcpy(&p->numbers[i], (const unsigned char *)&p->weights->blocks[i] + at,
               sizeof *p->numbers);
    sqzi_gguf_put_u32s(p->writer, key, p->numbers, p->weights->n_blocks);
}

static void put_epsilons(const per_block *p, const char *key)
{
    const sqzi_gguf_value *value = sqzi_gguf_find(p->weights->model->gguf, key);
    for (uint32_t i = 0; i < p->weights->n_blocks; i++)
        p->reals[i] = sqzi_gguf_float(value, p->weights->blocks[i].source);
    sqzi_gguf_put_f64s(p->writer, key, p->reals, p->weights->n_blocks);
}

static void put_activations(const per_block *p)
{
    static const char key[] = "sqz.block.activation";
    const sqzi_weights *w = p->weights;
    const unsigned char *at = sqzi_gguf_find(w->model->gguf, key)->data;
    sqzi_span word = {"", 0};
    for (uint32_t i = 0, next = 0; i < w->n_blocks; i++) {
        for (; next <= w->blocks[i].source; next++) word = sqzi_gguf_next_string(&at);
        p->strings[i] = word;
    }
    sqzi_gguf_put_strings(p->writer, key, p->strings, w->n_blocks);
}

/* Groups of linear j's whole terms, or of its low-rank ones, where any block has some. */
static void put_groups(const per_block *p, uint32_t j, bool low_rank)
{
    char key[96];
    bool any = false;
    for (uint32_t i = 0; i < p->weights->n_blocks; i++) {
        const sqzi_weight_linear *linear = &p->weights->blocks[i].linears[j];
        p->numbers[i] = 1;
        for (uint32_t t = 0; t < linear->n_terms; t++)
            if ((linear->terms[t].a.rows > 0) == low_rank)
                p->numbers[i] = linear->terms[t].b.groups;
        any |= p->numbers[i] > 1;
    }
    snprintf(key, sizeof key, "sqz.block.%s.%s", sqzi_block_linear_name(j),
             low_rank ? "factor_groups" : "groups");
    if (any) sqzi_gguf_put_u32s(p->writer, key, p->numbers, p->weights->n_blocks);
}

static void put_orders(const per_block *p, uint32_t i, uint32_t j)
{
    const sqzi_weight_linear *linear = &p->weights->blocks[i].linears[j];
    const char *name = sqzi_block_linear_name(j);
    char key[96];
    snprintf(key, sizeof key, "sqz.permutation.blk.%u.%s.in", (unsigned)i, name);
    if (linear->in) sqzi_gguf_put_u32s(p->writer, key, linear->in, linear->n_in);
    snprintf(key, sizeof key, "sqz.permutation.blk.%u.%s.out", (unsigned)i, name);
    if (linear->out) sqzi_gguf_put_u32s(p->writer, key, linear->out, linear->n_out);
}

static void put_blocks(const per_block *p)
{
    const uint32_t n = p->weights->n_blocks;
    sqzi_gguf_put_u32(p->writer, "sqz.blocks", n);
    put_sizes(p, "sqz.block.heads", offsetof(sqzi_weight_block, heads));
    put_sizes(p, "sqz.block.head_width", offsetof(sqzi_weight_block, head_width));
    put_sizes(p, "sqz.block.ffn_width", offsetof(sqzi_weight_block, ffn_width));
    put_activations(p);
    put_epsilons(p, "sqz.block.attn_norm_epsilon");
    put_epsilons(p, "sqz.block.ffn_norm_epsilon");
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        put_groups(p, j, false);
        put_groups(p, j, true);
        for (uint32_t i = 0; i < n; i++) put_orders(p, i, j);
    }
}

/* A pooler is gone: what it made of a text, the mean does; rows that know no place are pooled by
 * the mean in any case, and their vectors have a direction alone. */
static void put_shape(const sqzi_weights *w, sqzi_gguf_writer *writer)
{
    const bool bare = sqzi_weights_are_bare(w);
    const sqz_pooling pooling = bare || w->model->info.pooling == SQZ_POOLING_POOLER
                                    ? SQZ_POOLING_MEAN
                                    : w->model->info.pooling;
    sqzi_gguf_put_u32(writer, "sqz.width", w->width);
    sqzi_gguf_put_u32(writer, "sqz.embedding.width", w->embedding_width);
    sqzi_gguf_put_string(writer, "sqz.head.kind", sqzi_head_words[SQZ_HEAD_NONE]);
    sqzi_gguf_put_string(writer, "sqz.pool", sqzi_pooling_names[pooling]);
    if (bare) sqzi_gguf_put_bool(writer, "sqz.normalize", true);
}

static void lay_out(per_block *p, sqzi_arena *arena)
{
    const uint32_t n = p->weights->n_blocks;
    p->numbers = sqzi_arena_take(arena, n, sizeof *p->numbers);
    p->reals = sqzi_arena_take(arena, n, sizeof *p->reals);
    p->strings = sqzi_arena_take(arena, n, sizeof *p->strings);
}

sqz_status sqzi_weights_describe(const sqzi_weights *w, sqzi_gguf_writer *writer,
                                 const sqzi_step *step, sqz_error *error)
{
    const sqz_allocator *allocator = &w->model->context->allocator;
    per_block p = {.weights = w, .writer = writer};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&p, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate(allocator, bytes);
    if (!block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to describe %u blocks", w->n_blocks);
    arena = sqzi_arena_over(block, bytes);
    lay_out(&p, &arena);
    sqz_status status = sqzi_rewrite_metadata_but(writer, w->model, step, is_described, w, error);
    if (status == SQZ_OK) {
        put_requires(w, writer);
        if (w->reshaped) put_shape(w, writer);
        if (w->factor.rows) sqzi_gguf_put_u32(writer, "sqz.embedding.factor", w->factor.columns);
        put_blocks(&p);
    }
    if (status == SQZ_OK && w->kept_words) status = sqzi_vocabulary_put(w, writer, error);
    sqzi_release(allocator, block, bytes);
    return status;
}
