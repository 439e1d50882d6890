/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical encoder's tensors under Hugging Face's names. What lies in the file as a class
 * wants it is copied; factors, sums, permutations and rows of integers become one f32 matrix, a row
 * at a time. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "export/exporter.h"
#include "export/safetensors_writer.h"

/* What a tensor is made of: a linear's terms, or one tensor, or n zeros. */
typedef struct source {
    const sqzi_exporter *exporter;
    sqzi_stored whole, a, b;
    /* of a product; of a bias where outputs are permuted; else NULL */
    const sqzi_linear *linear;
    uint32_t groups; /* that are written */
    uint64_t n;
} source;

typedef struct plan {
    sqzi_exporter *exporter;
    sqzi_tensor_out *tensors;
    source *sources;
    size_t n, most;
    uint32_t n_products, n_integers;
    bool stored[3]; /* weights as SQZI_F32, SQZI_F16, SQZI_BF16 */
} plan;

static sqzi_stored find(const sqzi_exporter *e, const char *name, const char *part,
                        uint64_t columns)
{
    char full[SQZI_STORED_NAME - 8];
    snprintf(full, sizeof full, "%s.%s", name, part);
    return sqzi_stored_of(e->model->gguf, full, columns);
}

static sqz_status emit_zeros(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    static const float zeros[1024];
    sqz_status status = SQZ_OK;
    for (uint64_t left = ((const source *)from)->n; left && status == SQZ_OK;) {
        const size_t n = left < 1024 ? (size_t)left : 1024;
        status = sqzi_file_writer_put(file, zeros, n * sizeof *zeros, error);
        left -= n;
    }
    return status;
}

static sqz_status emit_copy(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    const sqzi_gguf_tensor *t = ((const source *)from)->whole.tensor;
    return sqzi_file_writer_put(file, t->data, (size_t)t->bytes, error);
}

/* Outputs of a permuted linear go to their places, and the bias with them. */
static sqz_status emit_permuted_bias(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const source *s = from;
    const uint32_t n = s->linear->n_out;
    const float *bias = s->whole.tensor->data;
    float *placed = sqzi_allocate(s->exporter->allocator, n * sizeof *placed);
    FAIL_IF(!placed, SQZ_ENOMEM, 0, "no memory for a bias");
    for (uint32_t j = 0; j < n; j++) placed[s->linear->out[j]] = bias[j];
    TRY(sqzi_file_writer_put(file, placed, n * sizeof *placed, error));
fail:
    if (placed) sqzi_release(s->exporter->allocator, placed, n * sizeof *placed);
    return status;
}

static sqz_status emit_integer_table(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const source *s = from;
    const size_t bytes = (size_t)s->whole.columns * sizeof(float);
    float *row = sqzi_allocate(s->exporter->allocator, bytes);
    FAIL_IF(!row, SQZ_ENOMEM, 0, "no memory for a row of a table");
    for (uint64_t r = 0; r < s->whole.rows; r++) {
        sqzi_stored_row_f32(&s->whole, r, row);
        TRY(sqzi_file_writer_put(file, row, bytes, error));
    }
fail:
    sqzi_release(s->exporter->allocator, row, bytes);
    return status;
}

/* Working memory of a product. */
typedef struct product {
    double *factor;    /* A, every row at n_in / groups numbers */
    double *stored;    /* one row of the whole matrix or of B */
    double *row;       /* one row over the inputs as the terms read them */
    float *placed;     /* the row over the inputs as they come */
    uint32_t *inverse; /* which of the terms' outputs comes out at a place */
} product;

static void lay_out(const source *s, product *p, sqzi_arena *arena)
{
    const sqzi_linear *l = s->linear;
    const size_t whole = s->whole.tensor ? (size_t)s->whole.columns : 0,
                 rank = s->b.tensor ? (size_t)s->b.columns : 0;
    p->factor = sqzi_arena_take(arena, s->a.tensor ? (size_t)(s->a.rows * s->a.columns) : 0,
                                sizeof *p->factor);
    p->stored = sqzi_arena_take(arena, whole > rank ? whole : rank, sizeof *p->stored);
    p->row = sqzi_arena_take(arena, l->n_in, sizeof *p->row);
    p->placed = sqzi_arena_take(arena, l->n_in, sizeof *p->placed);
    p->inverse = sqzi_arena_take(arena, l->n_out, sizeof *p->inverse);
}

/* Row `place` of the matrix that the linear is. */
static void make_row(const source *s, const product *p, uint32_t place)
{
    const sqzi_linear *l = s->linear;
    const uint32_t j = p->inverse[place];
    memset(p->row, 0, l->n_in * sizeof *p->row);
    for (uint32_t t = 0; t < l->n_terms; t++) {
        const uint32_t groups = l->terms[t].b.groups, n_in = l->n_in / groups,
                       group = j / (l->n_out / groups);
        double *to = p->row + (size_t)group * n_in;
        if (!l->terms[t].a.packed) {
            sqzi_stored_row(&s->whole, j, p->stored);
            for (uint32_t i = 0; i < n_in; i++) to[i] += p->stored[i];
            continue;
        }
        const uint32_t rank = (uint32_t)s->b.columns;
        sqzi_stored_row(&s->b, j, p->stored);
        for (uint32_t k = 0; k < rank; k++) {
            const double *factor = p->factor + ((size_t)group * rank + k) * n_in;
            for (uint32_t i = 0; i < n_in; i++) to[i] += p->stored[k] * factor[i];
        }
    }
    for (uint32_t i = 0; i < l->n_in; i++) p->placed[l->in ? l->in[i] : i] = (float)p->row[i];
}

static sqz_status emit_product(const void *from, sqzi_file_writer *file, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const source *s = from;
    const sqzi_linear *l = s->linear;
    product p;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(s, &p, &arena);
    void *block = sqzi_allocate(s->exporter->allocator, arena.used);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the product of a linear's factors");
    arena = sqzi_arena_over(block, arena.used);
    lay_out(s, &p, &arena);
    for (uint32_t j = 0; j < l->n_out; j++) p.inverse[l->out ? l->out[j] : j] = j;
    for (uint64_t r = 0; s->a.tensor && r < s->a.rows; r++)
        sqzi_stored_row(&s->a, r, p.factor + r * s->a.columns);
    const size_t width = l->n_in / s->groups;
    for (uint32_t r = 0; r < l->n_out; r++) {
        make_row(s, &p, r);
        TRY(sqzi_file_writer_put(file, p.placed + r / (l->n_out / s->groups) * width,
                                 width * sizeof *p.placed, error));
    }
fail:
    if (block) sqzi_release(s->exporter->allocator, block, arena.capacity);
    return status;
}

/* ---- the list ---- */

static source *add(plan *p, const char *name, sqzi_type type, uint64_t rows, uint64_t columns,
                   sqzi_tensor_emit *emit)
{
    assert(p->n < p->most);
    source *s = &p->sources[p->n];
    sqzi_tensor_out *out = &p->tensors[p->n++];
    *s = (source){.exporter = p->exporter, .n = rows * (columns ? columns : 1)};
    *out = (sqzi_tensor_out){.type = type,
                             .n_dims = columns ? 2 : 1,
                             .shape = {rows, columns},
                             .emit = emit,
                             .source = s};
    snprintf(out->name, sizeof out->name, "%s", name);
    return s;
}

static void add_table(plan *p, const char *name, const char *ours, const sqzi_table *table)
{
    const sqzi_stored m = find(p->exporter, ours, "weight", table->width);
    const bool integers = m.scale != NULL;
    const sqzi_type type = integers ? SQZI_F32 : m.tensor->type;
    p->stored[type] = true;
    p->n_integers += integers;
    add(p, name, type, m.rows, m.columns, integers ? emit_integer_table : emit_copy)->whole = m;
}

/* A vector that the file may leave out, meaning zeros. */
static source *add_vector(plan *p, const char *name, const char *ours, const char *part, uint64_t n)
{
    const sqzi_stored m = find(p->exporter, ours, part, n);
    source *s = add(p, name, SQZI_F32, n, 0, m.tensor ? emit_copy : emit_zeros);
    s->whole = m;
    return s;
}

/* NAME.weight and NAME.bias of a linear in `groups` groups; a convolution has a third dimension of
 * 1. */
static void add_linear(plan *p, const char *name, const char *ours, const sqzi_linear *l,
                       uint32_t groups, bool convolution)
{
    char full[128];
    const sqzi_exporter *e = p->exporter;
    const sqzi_term *last = &l->terms[l->n_terms - 1];
    const sqzi_stored whole = find(e, ours, "weight", l->n_in / l->terms[0].b.groups),
                      a = find(e, ours, "a", last->a.packed ? l->n_in / last->a.groups : 0),
                      b = find(e, ours, "b", last->b.n_in / last->b.groups);
    const bool copied = l->n_terms == 1 && whole.tensor && !whole.scale && !l->in && !l->out &&
                        l->terms[0].b.groups == groups;
    const sqzi_type type = copied ? whole.tensor->type : SQZI_F32;
    p->stored[type] = true;
    p->n_integers += whole.scale || a.scale || b.scale;
    p->n_products += l->n_terms > 1 || !whole.tensor || l->in || l->out;
    snprintf(full, sizeof full, "%s.weight", name);
    source *s = add(p, full, type, l->n_out, l->n_in / groups, copied ? emit_copy : emit_product);
    if (convolution) {
        p->tensors[p->n - 1].n_dims = 3;
        p->tensors[p->n - 1].shape[2] = 1;
    }
    *s = (source){.exporter = e, .whole = whole, .a = a, .b = b, .linear = l, .groups = groups};
    snprintf(full, sizeof full, "%s.bias", name);
    s = add_vector(p, full, ours, "bias", l->n_out);
    s->linear = l;
    if (l->out && s->whole.tensor) p->tensors[p->n - 1].emit = emit_permuted_bias;
}

static void add_norm(plan *p, const char *name, const char *ours, uint32_t n)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    add_vector(p, full, ours, "weight", n);
    snprintf(full, sizeof full, "%s.bias", name);
    add_vector(p, full, ours, "bias", n);
}

static void plan_block(plan *p, const char *prefix, uint32_t i)
{
    const sqzi_exporter *e = p->exporter;
    const sqzi_block *block = &e->model->encoder.blocks[i];
    const bool convolution = e->layout->grouped;
    for (uint32_t j = 0; j < SQZI_BLOCK_PARTS; j++) {
        char part[96], name[128], ours[SQZI_LINEAR_NAME];
        sqzi_block_name(e->layout, i, j, part, sizeof part);
        snprintf(name, sizeof name, "%s%s", prefix, part);
        sqzi_block_part(i, j, ours);
        if (j < SQZI_BLOCK_LINEARS)
            add_linear(p, name, ours, sqzi_block_linear_of(block, j), e->groups[j], convolution);
        else add_norm(p, name, ours, e->model->encoder.width);
    }
}

static void plan_encoder(plan *p, const char *prefix)
{
    const sqz_model *model = p->exporter->model;
    const sqzi_embedding *embedding = &model->encoder.embedding;
    const struct {
        const char *name, *ours;
        const sqzi_table *table;
    } tables[] = {{"word_embeddings", "token_embd", &embedding->word},
                  {"position_embeddings", "position_embd", &embedding->position},
                  {"token_type_embeddings", "token_types", &embedding->type}};
    char name[128];
    for (int i = 0; i < (model->info.n_token_types ? 3 : 2); i++) {
        snprintf(name, sizeof name, "%sembeddings.%s.weight", prefix, tables[i].name);
        add_table(p, name, tables[i].ours, tables[i].table);
    }
    snprintf(name, sizeof name, "%sembeddings.LayerNorm", prefix);
    add_norm(p, name, "token_embd_norm", model->info.embedding_width);
    snprintf(name, sizeof name, "%sembeddings_project", prefix);
    if (model->encoder.embedding.projected)
        add_linear(p, name, "embd_output", &model->encoder.embedding.projection, 1, false);
    for (uint32_t i = 0; i < model->encoder.n_blocks; i++) plan_block(p, prefix, i);
}

static void plan_head(plan *p, const char *prefix)
{
    const sqzi_layout *l = p->exporter->layout;
    const sqzi_head *head = &p->exporter->model->head;
    const bool choice = head->kind == SQZ_HEAD_MULTIPLE_CHOICE,
               whole = choice || head->kind == SQZ_HEAD_SEQUENCE,
               masked = head->kind == SQZ_HEAD_MASKED_LM;
    char name[128];
    snprintf(name, sizeof name, "%spooler.dense", prefix);
    const bool kept = head->pool == SQZ_POOL_POOLER || head->kind == SQZ_HEAD_NONE ||
                      l->always_pooled;
    if (head->has_pooler && kept) add_linear(p, name, "pooler", &head->pooler, 1, false);
    else if (head->has_pooler)
        sqzi_export_note(p->exporter, "not written: the pooler, which %s%s has not",
                         l->class_prefix, p->exporter->ending);
    if (head->has_dense)
        add_linear(p,
                   masked   ? l->masked_dense
                   : choice ? l->choice_dense
                            : l->sequence_dense,
                   "head.dense", &head->dense, 1, false);
    if (head->has_norm) add_norm(p, l->masked_norm, "head.norm", head->norm.n);
    if (masked) {
        if (!p->exporter->tied) add_linear(p, l->decoder, "head.output", &head->output, 1, false);
        snprintf(name, sizeof name, "%s.bias", l->decoder);
        if (p->exporter->tied || strcmp(l->decoder_bias, name) != 0)
            add_vector(p, l->decoder_bias, "head.output", "bias", head->classes);
    } else if (head->kind != SQZ_HEAD_NONE) {
        add_linear(p,
                   whole ? (choice ? l->choice_output : l->sequence_output)
                   : head->kind == SQZ_HEAD_QUESTION ? "qa_outputs"
                                                     : "classifier",
                   "head.output", &head->output, 1, false);
    }
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
    const char *prefix = e->model->head.kind == SQZ_HEAD_NONE ? "" : e->layout->prefix;
    plan p = {.exporter = e,
              .most = 2 * SQZI_BLOCK_PARTS * (size_t)e->model->encoder.n_blocks + 24};
    p.tensors = sqzi_allocate(e->allocator, p.most * sizeof *p.tensors);
    p.sources = sqzi_allocate(e->allocator, p.most * sizeof *p.sources);
    FAIL_IF(!p.tensors || !p.sources, SQZ_ENOMEM, 0, "no memory for a list of %zu tensors", p.most);
    plan_encoder(&p, prefix);
    plan_head(&p, prefix);
    tell_types(&p, e);
    TRY(write_plan(&p, "model.safetensors"));
fail:
    if (p.tensors) sqzi_release(e->allocator, p.tensors, p.most * sizeof *p.tensors);
    if (p.sources) sqzi_release(e->allocator, p.sources, p.most * sizeof *p.sources);
    return status;
}

sqz_status sqzi_export_step(sqzi_exporter *e, uint32_t i, const char *path)
{
    const sqzi_embed_step *step = &e->model->head.steps[i];
    sqzi_tensor_out tensors[2];
    source sources[2];
    char ours[32], name[64];
    plan p = {.exporter = e, .tensors = tensors, .sources = sources, .most = 2};
    snprintf(ours, sizeof ours, "embd_step.%u", (unsigned)i);
    snprintf(name, sizeof name, "%s/model.safetensors", path);
    if (step->kind == SQZI_STEP_NORM) add_norm(&p, "norm", ours, step->n_out);
    else add_linear(&p, "linear", ours, &step->dense, 1, false);
    return write_plan(&p, name);
}
