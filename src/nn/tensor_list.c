/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a model, from its structs. */
#include "nn/tensor_list.h"

#include <stdio.h>
#include <string.h>

typedef enum side { WIDTH, HEADS, FFN } side;

static const struct {
    const char *name;
    size_t at;
    side in, out;
} block_linears[SQZI_BLOCK_LINEARS] = {
    [SQZI_ATTN_Q] = {"attn_q", offsetof(sqzi_block, attn_q), WIDTH, HEADS},
    [SQZI_ATTN_K] = {"attn_k", offsetof(sqzi_block, attn_k), WIDTH, HEADS},
    [SQZI_ATTN_V] = {"attn_v", offsetof(sqzi_block, attn_v), WIDTH, HEADS},
    [SQZI_ATTN_OUTPUT] = {"attn_output", offsetof(sqzi_block, attn_output), HEADS, WIDTH},
    [SQZI_FFN_UP] = {"ffn_up", offsetof(sqzi_block, ffn_up), WIDTH, FFN},
    [SQZI_FFN_DOWN] = {"ffn_down", offsetof(sqzi_block, ffn_down), FFN, WIDTH}};

const char *sqzi_block_linear_name(uint32_t j)
{
    return block_linears[j].name;
}

sqzi_linear *sqzi_block_linear(sqzi_block *block, uint32_t j)
{
    return (sqzi_linear *)(void *)((unsigned char *)block + block_linears[j].at);
}

const sqzi_linear *sqzi_block_linear_of(const sqzi_block *block, uint32_t j)
{
    return (const sqzi_linear *)(const void *)((const unsigned char *)block + block_linears[j].at);
}

static uint32_t side_of(const sqzi_block *block, uint32_t width, side which)
{
    return which == WIDTH ? width
           : which == FFN ? block->ffn_width
                          : block->heads * block->head_width;
}

void sqzi_block_linear_sides(const sqzi_block *block, uint32_t width, uint32_t j, uint32_t *n_in,
                             uint32_t *n_out)
{
    *n_in = side_of(block, width, block_linears[j].in);
    *n_out = side_of(block, width, block_linears[j].out);
}

static void name_linear(sqzi_linear_entry *entry, const char *name, sqzi_tensor_part part,
                        uint32_t stage, const sqzi_linear *linear)
{
    *entry = (sqzi_linear_entry){.part = part, .stage = stage, .linear = linear};
    snprintf(entry->name, sizeof entry->name, "%s", name);
}

/* What follows the blocks. */
static bool linear_behind(const sqzi_encoder *encoder, const sqzi_head *head, uint32_t i,
                          sqzi_linear_entry *out)
{
    const uint32_t stage = encoder->n_blocks + 1;
    const struct {
        bool there;
        const char *name;
        sqzi_tensor_part part;
        const sqzi_linear *linear;
    } all[] = {{head->has_pooler, "pooler", SQZI_PART_POOLER, &head->pooler},
               {head->has_dense, "head.dense", SQZI_PART_HEAD, &head->dense},
               {head->classes && !head->tied, "head.output", SQZI_PART_HEAD, &head->output}};
    for (size_t j = 0; j < sizeof all / sizeof *all; j++)
        if (all[j].there && i-- == 0) {
            name_linear(out, all[j].name, all[j].part, stage, all[j].linear);
            return true;
        }
    for (uint32_t j = 0; j < head->n_steps; j++)
        if (head->steps[j].kind == SQZI_STEP_DENSE && i-- == 0) {
            char name[SQZI_LINEAR_NAME];
            snprintf(name, sizeof name, "embd_step.%u", (unsigned)j);
            name_linear(out, name, SQZI_PART_EMBED_STEP, stage, &head->steps[j].dense);
            return true;
        }
    return false;
}

bool sqzi_linear_list(const sqzi_encoder *encoder, const sqzi_head *head, uint32_t i,
                      sqzi_linear_entry *out)
{
    const uint32_t before = encoder->embedding.projected;
    if (i < before) {
        name_linear(out, "embd_output", SQZI_PART_EMBEDDING, 0, &encoder->embedding.projection);
        return true;
    }
    const uint32_t block = (i - before) / SQZI_BLOCK_LINEARS, j = (i - before) % SQZI_BLOCK_LINEARS;
    if (block >= encoder->n_blocks)
        return head && linear_behind(encoder, head,
                                     i - before - encoder->n_blocks * SQZI_BLOCK_LINEARS, out);
    *out = (sqzi_linear_entry){.part = SQZI_PART_BLOCK,
                               .block = block,
                               .stage = block + 1,
                               .linear = sqzi_block_linear_of(&encoder->blocks[block], j)};
    snprintf(out->name, sizeof out->name, "blk.%u.%s", (unsigned)block, block_linears[j].name);
    return true;
}

typedef struct walk {
    sqzi_tensor_visitor *visit;
    void *user;
} walk;

static void visit(const walk *w, sqzi_tensor_entry entry, const char *name, const char *ending)
{
    snprintf(entry.name, sizeof entry.name, "%.*s%s", SQZI_LINEAR_NAME, name, ending);
    w->visit(w->user, &entry);
}

static void visit_matrix(const walk *w, const char *name, const char *ending,
                         sqzi_tensor_entry entry, const sqzi_matrix *matrix, sqzi_tensor_role role)
{
    entry.role = role;
    entry.rows = matrix->n_out;
    entry.columns = matrix->n_in / matrix->groups;
    entry.groups = matrix->groups;
    visit(w, entry, name, ending);
}

static void visit_linear(const walk *w, const sqzi_linear_entry *from)
{
    sqzi_tensor_entry entry = {.part = from->part, .block = from->block, .linear = from->linear};
    for (; entry.term < from->linear->n_terms; entry.term++) {
        const sqzi_term *term = &from->linear->terms[entry.term];
        if (!term->a.packed) {
            visit_matrix(w, from->name, ".weight", entry, &term->b, SQZI_ROLE_WHOLE);
            continue;
        }
        visit_matrix(w, from->name, ".a", entry, &term->a, SQZI_ROLE_FIRST);
        visit_matrix(w, from->name, ".b", entry, &term->b, SQZI_ROLE_SECOND);
    }
    entry.term = 0;
    entry.role = SQZI_ROLE_BIAS;
    entry.rows = from->linear->n_out;
    if (from->linear->bias && !from->linear->bias_is_zero_point)
        visit(w, entry, from->name, ".bias");
}

static void visit_norm(const walk *w, const char *name, sqzi_tensor_part part, uint32_t block,
                       const sqzi_norm *norm)
{
    sqzi_tensor_entry entry = {
        .part = part, .block = block, .role = SQZI_ROLE_NORM_WEIGHT, .rows = norm->n, .norm = norm};
    visit(w, entry, name, ".weight");
    entry.role = SQZI_ROLE_NORM_BIAS;
    visit(w, entry, name, ".bias");
}

static void visit_table(const walk *w, const char *name, const sqzi_table *table)
{
    const sqzi_tensor_entry entry = {.part = SQZI_PART_EMBEDDING,
                                     .role = SQZI_ROLE_TABLE,
                                     .rows = table->n_rows,
                                     .columns = table->width,
                                     .groups = 1,
                                     .table = table};
    if (table->n_rows) visit(w, entry, name, ".weight");
}

static void visit_embedding(const walk *w, const sqzi_embedding *embedding)
{
    const sqzi_tensor_entry entry = {.part = SQZI_PART_EMBEDDING, .linear = &embedding->factor};
    visit_table(w, "token_embd", &embedding->word);
    if (embedding->factorised)
        visit_matrix(w, "token_embd", ".projection", entry, &embedding->factor.terms[0].b,
                     SQZI_ROLE_WHOLE);
    visit_table(w, "position_embd", &embedding->position);
    visit_table(w, "token_types", &embedding->type);
    if (!embedding->bare)
        visit_norm(w, "token_embd_norm", SQZI_PART_EMBEDDING, 0, &embedding->norm);
}

static void visit_block_norms(const walk *w, const sqzi_block *block, uint32_t i)
{
    char name[SQZI_LINEAR_NAME];
    snprintf(name, sizeof name, "blk.%u.attn_output_norm", (unsigned)i);
    visit_norm(w, name, SQZI_PART_BLOCK, i, &block->attn_norm);
    snprintf(name, sizeof name, "blk.%u.layer_output_norm", (unsigned)i);
    visit_norm(w, name, SQZI_PART_BLOCK, i, &block->ffn_norm);
}

void sqzi_tensor_list(const sqzi_encoder *encoder, const sqzi_head *head,
                      sqzi_tensor_visitor *visit_one, void *user)
{
    const walk w = {visit_one, user};
    sqzi_linear_entry linear;
    visit_embedding(&w, &encoder->embedding);
    for (uint32_t i = 0; sqzi_linear_list(encoder, head, i, &linear); i++) {
        visit_linear(&w, &linear);
        if (linear.part == SQZI_PART_BLOCK &&
            linear.linear == &encoder->blocks[linear.block].ffn_down)
            visit_block_norms(&w, &encoder->blocks[linear.block], linear.block);
    }
    if (!head) return;
    for (uint32_t j = 0; j < head->n_steps; j++) {
        char name[SQZI_LINEAR_NAME];
        snprintf(name, sizeof name, "embd_step.%u", (unsigned)j);
        if (head->steps[j].kind == SQZI_STEP_NORM)
            visit_norm(&w, name, SQZI_PART_EMBED_STEP, 0, &head->steps[j].norm);
    }
    if (head->has_norm) visit_norm(&w, "head.norm", SQZI_PART_HEAD, 0, &head->norm);
    if (!head->tied || !head->output.bias) return;
    visit(&w,
          (sqzi_tensor_entry){.part = SQZI_PART_HEAD,
                              .role = SQZI_ROLE_BIAS,
                              .rows = head->output.n_out,
                              .linear = &head->output},
          "head.output", ".bias");
}
