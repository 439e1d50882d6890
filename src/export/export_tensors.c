/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical encoder's tensors under Hugging Face's names (tensor_source.h writes them). */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "export/exporter.h"
#include "export/safetensors_writer.h"
#include "export/tensor_source.h"

typedef struct plan {
    sqzi_exporter *exporter;
    sqzi_tensor_out *tensors;
    sqzi_tensor_source *sources;
    size_t n, most;
    uint32_t n_products, n_integers, n_words;
    bool stored[3]; /* weights as SQZI_F32, SQZI_F16, SQZI_BF16 */
} plan;

static sqzi_stored find(const sqzi_exporter *e, const char *name, const char *part,
                        uint64_t columns)
{
    char full[SQZI_STORED_NAME - 8];
    snprintf(full, sizeof full, "%s.%s", name, part);
    return sqzi_stored_of(e->model->gguf, full, columns);
}

static sqzi_side side_of(uint32_t n)
{
    return (sqzi_side){n, n, n, n};
}

static sqzi_tensor_source *add(plan *p, const char *name, sqzi_type type, uint64_t rows,
                               uint64_t columns, sqzi_tensor_emit *emit)
{
    assert(p->n < p->most);
    sqzi_tensor_source *s = &p->sources[p->n];
    sqzi_tensor_out *out = &p->tensors[p->n++];
    *s = (sqzi_tensor_source){.allocator = p->exporter->allocator,
                              .n = rows * (columns ? columns : 1),
                              .scale = 1};
    *out = (sqzi_tensor_out){.type = type,
                             .n_dims = columns ? 2 : 1,
                             .shape = {rows, columns},
                             .emit = emit,
                             .source = s};
    snprintf(out->name, sizeof out->name, "%s", name);
    return s;
}

/* A table, its rows times the projection where it is factorised. */
static void add_table(plan *p, const char *name, const char *ours, const sqzi_table *table,
                      const sqzi_linear *factor)
{
    const sqzi_exporter *e = p->exporter;
    const bool integers = table->type == SQZI_S8, copied = !integers && !factor;
    const sqzi_type type = copied ? table->type : SQZI_F32;
    sqzi_tensor_source *s = add(p, name, type, table->n_rows, factor ? factor->n_out : table->width,
                                copied ? sqzi_emit_copy : sqzi_emit_table);
    s->table = table;
    s->kernels = e->model->encoder.kernels;
    if (copied) s->whole = find(e, ours, "weight", table->width);
    if (factor) s->projection = find(e, ours, "projection", table->width);
    p->stored[type] = true;
    p->n_integers += integers;
    p->n_words += factor != NULL;
}

/* A vector of n numbers that the file may leave out, meaning zeros. */
static sqzi_tensor_source *add_vector(plan *p, const char *name, const char *ours, const char *part,
                                      uint64_t n)
{
    const sqzi_stored m = find(p->exporter, ours, part, n);
    sqzi_tensor_source *s = add(p, name, SQZI_F32, n, 0,
                                m.tensor ? sqzi_emit_copy : sqzi_emit_zeros);
    s->whole = m;
    return s;
}

/* How a linear is written. */
typedef struct linear_form {
    const sqzi_linear *linear;
    uint32_t groups;
    sqzi_side in, out;
    double scale;
    bool convolution; /* of width 1: the matrix has a third dimension of 1 */
} linear_form;

/* NAME.weight */
static void add_matrix(plan *p, const char *name, const char *ours, const linear_form *form)
{
    char full[128];
    const sqzi_exporter *e = p->exporter;
    const sqzi_linear *l = form->linear;
    const sqzi_term *last = &l->terms[l->n_terms - 1];
    const sqzi_stored whole = find(e, ours, "weight", l->n_in / l->terms[0].b.groups),
                      a = find(e, ours, "a", last->a.packed ? l->n_in / last->a.groups : 0),
                      b = find(e, ours, "b", last->b.n_in / last->b.groups);
    const bool filled = !sqzi_side_is_whole(&form->in) || !sqzi_side_is_whole(&form->out),
               copied = l->n_terms == 1 && whole.tensor && !whole.scale && !l->in && !l->out &&
                        !filled && l->terms[0].b.groups == form->groups;
    const sqzi_type type = copied ? whole.tensor->type : SQZI_F32;
    snprintf(full, sizeof full, "%s.weight", name);
    sqzi_tensor_source *s = add(p, full, type, form->out.written, form->in.written / form->groups,
                                copied ? sqzi_emit_copy : sqzi_emit_linear);
    if (form->convolution) {
        p->tensors[p->n - 1].n_dims = 3;
        p->tensors[p->n - 1].shape[2] = 1;
    }
    *s = (sqzi_tensor_source){.allocator = e->allocator,
                              .whole = whole,
                              .a = a,
                              .b = b,
                              .linear = l,
                              .groups = form->groups,
                              .in = form->in,
                              .out = form->out,
                              .scale = form->scale};
    p->stored[type] = true;
    p->n_integers += whole.scale || a.scale || b.scale;
    p->n_products += l->n_terms > 1 || !whole.tensor || l->in || l->out;
}

/* NAME.weight and NAME.bias. */
static void add_linear_as(plan *p, const char *name, const char *ours, const linear_form *form)
{
    char full[128];
    add_matrix(p, name, ours, form);
    snprintf(full, sizeof full, "%s.bias", name);
    sqzi_tensor_source *s = add_vector(p, full, ours, "bias", form->out.written);
    s->linear = form->linear;
    s->out = form->out;
    s->scale = form->scale;
    if (s->whole.tensor && (form->linear->out || !sqzi_side_is_whole(&form->out)))
        p->tensors[p->n - 1].emit = sqzi_emit_bias;
}

static void add_linear(plan *p, const char *name, const char *ours, const sqzi_linear *l)
{
    add_linear_as(p, name, ours,
                  &(linear_form){l, 1, side_of(l->n_in), side_of(l->n_out), 1, false});
}

static void add_norm(plan *p, const char *name, const char *ours, uint32_t n)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    add_vector(p, full, ours, "weight", n);
    snprintf(full, sizeof full, "%s.bias", name);
    add_vector(p, full, ours, "bias", n);
}

/* A block's sides, and what is written of them: one head of it and one that is written are the
 * parts of a side that heads make. */
static linear_form form_of(const sqzi_exporter *e, const sqzi_block *block, uint32_t j)
{
    const uint32_t width = e->model->encoder.width;
    const sqzi_block head = {1, .head_width = block->head_width, .ffn_width = block->ffn_width},
                     written_head = {1, .head_width = e->head_width, .ffn_width = e->ffn_width},
                     written = {e->heads, .head_width = e->head_width, .ffn_width = e->ffn_width};
    linear_form f = {.linear = sqzi_block_linear_of(block, j),
                     .groups = e->groups[j],
                     .scale = 1,
                     .convolution = e->layout->grouped};
    sqzi_block_linear_sides(block, width, j, &f.in.n, &f.out.n);
    sqzi_block_linear_sides(&head, width, j, &f.in.from, &f.out.from);
    sqzi_block_linear_sides(&written_head, width, j, &f.in.to, &f.out.to);
    sqzi_block_linear_sides(&written, width, j, &f.in.written, &f.out.written);
    /* scores are divided by the root of the width that is written */
    if (j == SQZI_ATTN_Q && e->head_width != block->head_width)
        f.scale = sqrt((double)e->head_width / (double)block->head_width);
    return f;
}

static void plan_block(plan *p, const char *prefix, uint32_t i)
{
    const sqzi_exporter *e = p->exporter;
    const sqzi_block *block = &e->model->encoder.blocks[i];
    for (uint32_t j = 0; j < SQZI_BLOCK_PARTS; j++) {
        char part[96], name[128], ours[SQZI_LINEAR_NAME];
        sqzi_block_name(e->layout, i, j, part, sizeof part);
        snprintf(name, sizeof name, "%s%s", prefix, part);
        sqzi_block_part(i, j, ours);
        if (j < SQZI_BLOCK_LINEARS) {
            const linear_form form = form_of(e, block, j);
            add_linear_as(p, name, ours, &form);
        } else add_norm(p, name, ours, e->model->encoder.width);
    }
}

static void plan_encoder(plan *p, const char *prefix)
{
    const sqz_model *model = p->exporter->model;
    const sqzi_embedding *embedding = &model->encoder.embedding;
    const struct {
        const char *name, *ours;
        const sqzi_table *table;
        const sqzi_linear *factor;
    } tables[] = {{"word_embeddings", "token_embd", &embedding->word,
                   embedding->factorised ? &embedding->factor : NULL},
                  {"position_embeddings", "position_embd", &embedding->position, NULL},
                  {"token_type_embeddings", "token_types", &embedding->type, NULL}};
    char name[128];
    for (int i = 0; i < (sqzi_export_types(p->exporter) ? 3 : 2); i++) {
        snprintf(name, sizeof name, "%sembeddings.%s.weight", prefix, tables[i].name);
        if (!tables[i].table->n_rows)
            add(p, name, SQZI_F32, sqzi_export_types(p->exporter), model->info.embedding_width,
                sqzi_emit_zeros);
        else add_table(p, name, tables[i].ours, tables[i].table, tables[i].factor);
    }
    snprintf(name, sizeof name, "%sembeddings.LayerNorm", prefix);
    add_norm(p, name, "token_embd_norm", model->info.embedding_width);
    snprintf(name, sizeof name, "%sembeddings_project", prefix);
    if (model->encoder.embedding.projected)
        add_linear(p, name, "embd_output", &model->encoder.embedding.projection);
    for (uint32_t i = 0; i < model->encoder.n_blocks; i++) plan_block(p, prefix, i);
}

/* The pooler, where the class has one. */
static void plan_pooler(plan *p, const char *prefix)
{
    const sqzi_exporter *e = p->exporter;
    const sqzi_layout *l = e->layout;
    const sqzi_head *head = &e->model->head;
    char name[128];
    const bool kept = e->head_beside ? !l->sequence_dense
                                     : head->pooling == SQZ_POOLING_POOLER ||
                                           head->kind == SQZ_HEAD_NONE || l->always_pooled;
    snprintf(name, sizeof name, "%spooler.dense", prefix);
    if (!head->has_pooler) return;
    if (kept) add_linear(p, name, "pooler", &head->pooler);
    else if (head->pooling != SQZ_POOLING_POOLER)
        sqzi_export_note(e, "not written: the pooler, which %s%s has not", l->class_prefix,
                         e->ending);
}

static void plan_masked(plan *p)
{
    const sqzi_layout *l = p->exporter->layout;
    const sqzi_head *head = &p->exporter->model->head;
    char name[128];
    add_linear(p, l->masked_dense, "head.dense", &head->dense);
    add_norm(p, l->masked_norm, "head.norm", head->norm.n);
    if (!p->exporter->tied) add_linear(p, l->decoder, "head.output", &head->output);
    snprintf(name, sizeof name, "%s.bias", l->decoder);
    if (p->exporter->tied || strcmp(l->decoder_bias, name) != 0)
        add_vector(p, l->decoder_bias, "head.output", "bias", head->classes);
}

static void plan_head(plan *p)
{
    const sqzi_layout *l = p->exporter->layout;
    const sqzi_head *head = &p->exporter->model->head;
    const char *dense = l->sequence_dense, *output = "classifier";
    switch (head->kind) {
    case SQZ_HEAD_MASKED_LM: plan_masked(p); return;
    case SQZ_HEAD_SEQUENCE: output = l->sequence_output; break;
    case SQZ_HEAD_QUESTION: output = "qa_outputs"; break;
    case SQZ_HEAD_MULTIPLE_CHOICE:
        dense = l->choice_dense;
        output = l->choice_output;
        break;
    default: break;
    }
    if (head->has_dense) add_linear(p, dense, "head.dense", &head->dense);
    if (head->kind != SQZ_HEAD_NONE) add_linear(p, output, "head.output", &head->output);
}

/* Transformers gives all weights one type: the one they are stored as, f32 where there are
 * several. */
static void tell_types(const plan *p, sqzi_exporter *e)
{
    const bool *stored = p->stored;
    e->weight_type = stored[SQZI_F32] || (stored[SQZI_F16] && stored[SQZI_BF16]) ? "float32"
                     : stored[SQZI_F16]                                          ? "float16"
                                                                                 : "bfloat16";
    if (p->n_products)
        sqzi_export_note(
            p->exporter,
            "%u factorised, summed or permuted linears are written as their products, in f32",
            p->n_products);
    if (p->n_words)
        sqzi_export_note(e, "the factorised embedding is written as its product, in f32");
    if (p->n_integers)
        sqzi_export_note(p->exporter, "%u weights of integers are written as f32", p->n_integers);
}

static sqz_status write_plan(const plan *p, const char *name)
{
    sqz_status status = SQZ_OK;
    sqzi_exporter *e = p->exporter;
    sqz_error *error = e->error;
    sqzi_file_writer file = {0};
    TRY(sqzi_folder_writer_file(&e->folder, name, &file, error));
    TRY(sqzi_safetensors_write(e->allocator, p->tensors, p->n, &file, error));
    TRY(sqzi_file_writer_commit(&file, error));
fail:
    sqzi_file_writer_discard(&file);
    return status;
}

sqz_status sqzi_export_tensors(sqzi_exporter *e)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = e->error;
    const bool alone = e->head_beside || e->model->head.kind == SQZ_HEAD_NONE;
    const char *prefix = alone ? "" : e->layout->prefix;
    plan p = {.exporter = e,
              .most = 2 * SQZI_BLOCK_PARTS * (size_t)e->model->encoder.n_blocks + 24};
    p.tensors = sqzi_allocate(e->allocator, p.most * sizeof *p.tensors);
    p.sources = sqzi_allocate(e->allocator, p.most * sizeof *p.sources);
    FAIL_IF(!p.tensors || !p.sources, SQZ_ENOMEM, 0, "no memory for a list of %zu tensors", p.most);
    plan_encoder(&p, prefix);
    plan_pooler(&p, prefix);
    if (!alone) plan_head(&p);
    tell_types(&p, e);
    TRY(write_plan(&p, "model.safetensors"));
fail:
    if (p.tensors) sqzi_release(e->allocator, p.tensors, p.most * sizeof *p.tensors);
    if (p.sources) sqzi_release(e->allocator, p.sources, p.most * sizeof *p.sources);
    return status;
}

sqz_status sqzi_export_module(sqzi_exporter *e, const sqzi_export_layer *layer, const char *path)
{
    sqzi_tensor_out tensors[2];
    sqzi_tensor_source sources[2];
    char name[64];
    plan p = {.exporter = e, .tensors = tensors, .sources = sources, .most = 2};
    snprintf(name, sizeof name, "%s/model.safetensors", path);
    if (layer->linear) add_linear(&p, "linear", layer->name, layer->linear);
    else add_norm(&p, "norm", layer->name, layer->norm->n);
    return write_plan(&p, name);
}
