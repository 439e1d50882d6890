/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters: the list of tensors, each beside its place in the structs of numbers. */
#include "train/parameters.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* The place of a linear's tensor in its numbers. */
static sqzi_real **linear_place(const sqzi_tensor_entry *entry, sqzi_linear_numbers *numbers)
{
    if (entry->role == SQZI_ROLE_BIAS) return &numbers->bias;
    return entry->role == SQZI_ROLE_FIRST ? &numbers->terms[entry->term].a
                                          : &numbers->terms[entry->term].b;
}

static sqzi_real **norm_place(const sqzi_tensor_entry *entry, sqzi_norm_numbers *numbers)
{
    return entry->role == SQZI_ROLE_NORM_BIAS ? &numbers->bias : &numbers->weight;
}

static sqzi_real **embedding_place(const sqzi_tensor_entry *entry, const sqzi_embedding *embedding,
                                   sqzi_embedding_numbers *numbers)
{
    if (entry->table == &embedding->word) return &numbers->word;
    if (entry->table == &embedding->position) return &numbers->position;
    if (entry->table == &embedding->type) return &numbers->type;
    if (entry->norm) return norm_place(entry, &numbers->norm);
    return linear_place(entry, entry->linear == &embedding->factor ? &numbers->factor
                                                                   : &numbers->projection);
}

static sqzi_real **block_place(const sqzi_tensor_entry *entry, const sqzi_block *block,
                               sqzi_block_numbers *numbers)
{
    uint32_t j = 0;
    if (entry->norm)
        return norm_place(entry, entry->norm == &block->attn_norm ? &numbers->attn_norm
                                                                  : &numbers->ffn_norm);
    while (sqzi_block_linear_of(block, j) != entry->linear) j++;
    return linear_place(entry, &numbers->linears[j]);
}

static sqzi_real **head_place(const sqzi_tensor_entry *entry, const sqzi_head *head,
                              sqzi_head_numbers *numbers)
{
    if (entry->norm == &head->norm) return norm_place(entry, &numbers->norm);
    if (entry->linear == &head->pooler) return linear_place(entry, &numbers->pooler);
    if (entry->linear == &head->dense) return linear_place(entry, &numbers->dense);
    if (entry->linear == &head->output) return linear_place(entry, &numbers->output);
    uint32_t j = 0;
    while (entry->norm ? entry->norm != &head->steps[j].norm
                       : entry->linear != &head->steps[j].dense)
        j++;
    return entry->norm ? norm_place(entry, &numbers->step_norms[j])
                       : linear_place(entry, &numbers->steps[j]);
}

typedef struct build {
    sqzi_parameters *parameters;
    const sqzi_encoder *encoder;
    const sqzi_head *head;
    const sqzi_trained *trained;
} build;

static sqzi_real **place_of(const build *b, const sqzi_tensor_entry *entry,
                            sqzi_encoder_numbers *encoder, sqzi_head_numbers *head)
{
    if (entry->part == SQZI_PART_EMBEDDING)
        return embedding_place(entry, &b->encoder->embedding, &encoder->embedding);
    if (entry->part == SQZI_PART_BLOCK)
        return block_place(entry, &b->encoder->blocks[entry->block],
                           &encoder->blocks[entry->block]);
    return head_place(entry, b->head, head);
}

static bool is_trained(const build *b, const sqzi_tensor_entry *entry)
{
    const sqzi_trained *t = b->trained;
    switch (entry->part) {
    case SQZI_PART_EMBEDDING: return !t->freeze_embeddings && !t->freeze_blocks;
    case SQZI_PART_BLOCK: return entry->block >= t->freeze_blocks;
    case SQZI_PART_POOLER: return t->pooling == SQZ_POOLING_POOLER;
    case SQZI_PART_HEAD: return !t->embeds;
    case SQZI_PART_EMBED_STEP: return t->embeds;
    }
    return false;
}

static bool is_vector(const sqzi_tensor_entry *entry)
{
    return entry->role == SQZI_ROLE_BIAS || entry->role == SQZI_ROLE_NORM_WEIGHT ||
           entry->role == SQZI_ROLE_NORM_BIAS;
}

/* Of a matrix's numbers in the file; of a new one there are none. */
static uint32_t stored_bits(const build *b, const sqzi_tensor_entry *entry)
{
    const bool there = entry->linear && entry->linear->terms[entry->term].b.packed;
    return there && b->trained->stored_bits ? b->trained->stored_bits(b->trained->file, entry) : 0;
}

static uint32_t bits_of(const build *b, const sqzi_tensor_entry *entry)
{
    if (is_vector(entry) || entry->table || !b->trained->bits) return 0;
    if (b->trained->bits == SQZI_BITS_AS_STORED) return stored_bits(b, entry);
    return entry->part == SQZI_PART_EMBEDDING || entry->part == SQZI_PART_BLOCK ? b->trained->bits
                                                                                : 0;
}

static bool multiplies_integers(const sqzi_matrix *matrix)
{
    return matrix->gemm && matrix->gemm->type == SQZI_S8;
}

/* Stored as integers; or a bias beside them, which may hold what their inputs' zero point adds. Of
 * a factor that is packed as floats the file tells; what a head of the file holds says nothing of
 * a new one, whose matrix is not there yet. */
static bool holds_integers(const build *b, const sqzi_tensor_entry *entry)
{
    const sqzi_linear *linear = entry->linear;
    if (entry->table) return entry->table->type == SQZI_S8;
    for (uint32_t t = 0; linear && t < linear->n_terms; t++)
        if (multiplies_integers(&linear->terms[t].a) || multiplies_integers(&linear->terms[t].b))
            return true;
    return entry->columns && stored_bits(b, entry) == 8;
}

/* sqzi_tensor_visitor: without a list, counts. */
static void add(void *user, const sqzi_tensor_entry *entry)
{
    const build *b = user;
    sqzi_parameters *p = b->parameters;
    const size_t n = (size_t)entry->rows * (entry->columns ? entry->columns : 1);
    if (!p->list) p->n_numbers += n;
    const bool expands = b->trained->bits && !entry->table && /* integers become masters */
                         (b->trained->bits != SQZI_BITS_AS_STORED || is_trained(b, entry));
    if (!expands && holds_integers(b, entry)) { /* it stays as it is stored */
        if (entry->linear) p->multiplies_integers = true;
        if (entry->columns && !entry->table && is_trained(b, entry) && !p->integers[0])
            memcpy(p->integers, entry->name, sizeof p->integers);
        return;
    }
    const uint32_t i = p->n++;
    if (!p->list) return;
    p->list[i] = (sqzi_parameter){.entry = *entry,
                                  .n = n,
                                  .trained = is_trained(b, entry),
                                  .decays = !is_vector(entry),
                                  .bits = bits_of(b, entry),
                                  .rate = entry->part == SQZI_PART_HEAD ? b->trained->head_rate
                                                                        : 1};
    if (!p->list[i].trained) return;
    p->n_trained += p->list[i].n;
    if (b->trained->list_words && entry->table == &b->encoder->embedding.word && !b->head->tied)
        p->list[i].rows = &p->words;
}

/* Without a list, counts. */
static void add_beside(sqzi_parameters *p, const sqzi_beside *beside)
{
    if (!beside->rows) return;
    const uint32_t i = p->n++;
    if (!p->list) return;
    p->list[i] = (sqzi_parameter){.entry = {.role = SQZI_ROLE_WHOLE,
                                            .rows = beside->rows,
                                            .columns = beside->columns,
                                            .groups = 1},
                                  .n = (size_t)beside->rows * beside->columns,
                                  .trained = true,
                                  .beside = true,
                                  .decays = true,
                                  .rate = 1};
    snprintf(p->list[i].entry.name, sizeof p->list[i].entry.name, "%s", beside->name);
    p->n_trained += p->list[i].n;
}

static void add_all(build *b)
{
    sqzi_tensor_list(b->encoder, b->head, add, b);
    for (uint32_t k = 0; k < SQZI_MOST_BESIDE; k++)
        add_beside(b->parameters, &b->trained->beside[k]);
}

static sqzi_real *take(sqzi_arena *arena, const sqzi_parameter *parameter, bool trained_alone)
{
    const bool there = parameter->trained || !trained_alone;
    sqzi_real *numbers = sqzi_arena_take(arena, there ? parameter->n : 0, sizeof *numbers);
    return there ? numbers : NULL;
}

/* The four blocks, one behind the other. */
static void lay_out(sqzi_parameters *p, sqzi_arena *arena)
{
    const uint32_t n = p->n_blocks;
    p->masters.blocks = sqzi_arena_take(arena, n, sizeof *p->masters.blocks);
    p->gradients.blocks = sqzi_arena_take(arena, n, sizeof *p->gradients.blocks);
    for (uint32_t i = 0; i < p->n; i++) p->list[i].master = take(arena, &p->list[i], false);
    for (uint32_t i = 0; i < p->n; i++)
        if (p->list[i].bits) p->list[i].rounded = take(arena, &p->list[i], false);
    for (uint32_t i = 0; i < p->n; i++)
        if (!p->list[i].rows) p->list[i].gradient = take(arena, &p->list[i], true);
    for (uint32_t i = 0; i < p->n; i++) p->list[i].m = take(arena, &p->list[i], true);
    for (uint32_t i = 0; i < p->n; i++) p->list[i].v = take(arena, &p->list[i], true);
}

static void point(const build *b)
{
    sqzi_parameters *p = b->parameters;
    for (uint32_t i = 0; i < p->n; i++) {
        const sqzi_parameter *parameter = &p->list[i];
        if (parameter->beside) continue;
        *place_of(b, &parameter->entry, &p->masters, &p->head_masters) =
            parameter->bits ? parameter->rounded : parameter->master;
        *place_of(b, &parameter->entry, &p->gradients, &p->head_gradients) = parameter->gradient;
        if (parameter->rows) p->gradients.embedding.word_rows = parameter->rows;
    }
}

sqz_status sqzi_parameters_open(const sqz_allocator *allocator, const sqzi_encoder *encoder,
                                const sqzi_head *head, const sqzi_trained *trained,
                                sqzi_parameters *p, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    build b = {p, encoder, head, trained};
    *p = (sqzi_parameters){.allocator = allocator, .n_blocks = encoder->n_blocks};
    add_all(&b);
    p->list = sqzi_allocate_zeroed(allocator, p->n, sizeof *p->list);
    FAIL_IF(!p->list, SQZ_ENOMEM, 0, "no memory for a list of %u parameters", p->n);
    p->n = 0;
    add_all(&b);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(p, &arena);
    p->block = arena.used == SIZE_MAX ? NULL : sqzi_allocate_zeroed(allocator, 1, arena.used);
    FAIL_IF(!p->block, SQZ_ENOMEM, 0, "no memory for %zu bytes of weights, gradients and moments",
            arena.used);
    p->bytes = arena.used;
    arena = sqzi_arena_over(p->block, p->bytes);
    lay_out(p, &arena);
    point(&b);
fail:
    return status;
}

void sqzi_parameters_forget(sqzi_parameters *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const sqzi_parameter *one = &p->list[i];
        if (one->rows) sqzi_row_list_clear(one->rows);
        else if (one->trained) memset(one->gradient, 0, one->n * sizeof *one->gradient);
    }
}

void sqzi_parameters_close(sqzi_parameters *p)
{
    if (!p->allocator) return;
    sqzi_release(p->allocator, p->block, p->bytes);
    sqzi_release(p->allocator, p->list, p->n * sizeof *p->list);
    *p = (sqzi_parameters){0};
}

const sqzi_parameter *sqzi_parameters_find(const sqzi_parameters *p, const char *name)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i].entry.name, name) == 0) return &p->list[i];
    return NULL;
}

const sqzi_matrix *sqzi_parameter_matrix(const sqzi_parameter *parameter)
{
    const sqzi_tensor_entry *entry = &parameter->entry;
    if (is_vector(entry) || entry->table || parameter->beside) return NULL;
    const sqzi_term *term = &entry->linear->terms[entry->term];
    return entry->role == SQZI_ROLE_FIRST ? &term->a : &term->b;
}
